"""Trains the drawings branch on cached features: drawings towards their words in 25 languages, photographs towards nothing.

Usage: train.py [--name final] [--hold-out SET,SET] [--seed 0] ... Stops and goes on at whole epochs. Writes
heads/NAME.pt, an exponential average of the weights over the last steps. Choose settings with --hold-out, which
trains without whole sets and reports on them, and not on OpenMoji.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F

import features
from concepts import LANGUAGES, foreign_words, keywords
from drawings import emoji_concepts, words_of
from evaluate import recall
from networks import KeptTexts, image_network
from paths import HEADS
from projection import classes_branch, drawings_branch, image_vectors, load_head

ENGLISH = "en"
KEYWORDS_A_STEP = 1024
KEYWORD_SCALE = 20.0


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="final")
    parser.add_argument("--start", help="a trained head to go on from, as when features were added")
    parser.add_argument("--hold-out", default="", help="comma-separated sets to leave out and report on")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.1, help="of a feature's deviation")
    parser.add_argument("--scale", type=float, default=30.0, help="inverse temperature of the image to name loss")
    parser.add_argument("--columns", type=float, default=0.5, help="weight of the name to image loss")
    parser.add_argument("--closeness", type=float, default=2.0, help="weight of 1 - cosine to name and keywords")
    parser.add_argument("--foreign", type=float, default=0.7, help="weight of names and keywords in other languages")
    parser.add_argument("--keyword-loss", type=float, default=0.5, help="weight of the image to keyword loss")
    parser.add_argument("--hold", type=float, default=1.0, help="weight of zero on photographs")
    parser.add_argument("--average", type=float, default=0.95)
    parser.add_argument("--passes", default="0,1,2,3")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def load_drawings(passes):
    parts = [features.load(f"pass{number}") for number in passes if features.chunks(f"pass{number}")]
    return torch.from_numpy(np.concatenate([part[0] for part in parts])), np.concatenate([part[1] for part in parts])


class Words:
    """Vectors of the concepts' names and keywords by language, and each concept's target between them."""

    def __init__(self, texts):
        self.concepts = sorted(emoji_concepts())
        self.number = {concept: number for number, concept in enumerate(self.concepts)}
        english = {concept: (words_of(concept), keywords().get(concept, [])) for concept in self.concepts}
        self.names, self.keywords, self.carried = {}, {}, {}
        for language in (ENGLISH, *LANGUAGES):
            words = english if language == ENGLISH else foreign_words(language)
            # A concept without a name in a language has the English one.
            names = [words.get(concept, english[concept])[0] for concept in self.concepts]
            every = sorted({text for _, texts in words.values() for text in texts})
            row = {text: number for number, text in enumerate(every)}
            carried = torch.zeros(len(self.concepts), len(every), dtype=torch.bool)
            for concept, (_, texts_of_it) in words.items():
                if concept in self.number:
                    carried[self.number[concept], [row[text] for text in texts_of_it]] = True
            self.names[language] = texts.encode(names)
            self.keywords[language], self.carried[language] = texts.encode(every), carried
        share = shares(self.carried[ENGLISH].float())
        foreign = sum(self.names[language] for language in LANGUAGES) / len(LANGUAGES)
        self.targets = F.normalize(self.names[ENGLISH] + 0.5 * share @ self.keywords[ENGLISH] + 0.5 * foreign, dim=1)


def shares(carried):
    return carried / carried.sum(1, keepdim=True).clamp(min=1e-6)


def drawing_loss(vectors, concept, words, opt):
    """Image to name, name to the batch's images, closeness to the target, image to a sample of the keywords; names and
    keywords in English, and in a language drawn for the step."""
    other = LANGUAGES[torch.randint(len(LANGUAGES), ())]
    logits = opt.scale * vectors @ words.names[ENGLISH].T
    loss = F.cross_entropy(logits, concept)
    loss += opt.foreign * F.cross_entropy(opt.scale * vectors @ words.names[other].T, concept)
    present, place = concept.unique(return_inverse=True)
    share = F.one_hot(place, len(present)).float()
    columns = F.log_softmax(logits[:, present], 0)
    loss -= opt.columns * (share / share.sum(0) * columns).sum(0).mean()
    loss += opt.closeness * (1 - (vectors * words.targets[concept]).sum(1)).mean()
    for language, weight in ((ENGLISH, 1.0), (other, opt.foreign)):
        keywords = words.keywords[language]
        sample = torch.randperm(len(keywords))[:KEYWORDS_A_STEP]
        spoken = F.log_softmax(KEYWORD_SCALE * vectors @ keywords[sample].T, 1)
        share = shares(words.carried[language][:, sample][concept].float())
        loss -= weight * opt.keyword_loss * (share * spoken).sum(1).mean()
    return loss


def fresh_branch(hidden, drawn):
    """A branch that standardises by the drawings' own statistics, its gate half open."""
    branch = drawings_branch(hidden)
    sample = drawn[torch.randperm(len(drawn))[:8192]].float()
    branch.mean.copy_(sample.mean(0))
    branch.std.copy_(sample.std(0) + 1e-3)
    torch.nn.init.zeros_(branch.gate.weight)
    torch.nn.init.zeros_(branch.gate.bias)
    return branch


def train(opt):
    torch.manual_seed(opt.seed)
    torch.set_num_threads(1)  # two threads that wait for one another lose to one on busy cores
    HEADS.mkdir(parents=True, exist_ok=True)
    kept = KeptTexts()
    words = Words(kept)
    classes = classes_branch(image_network(), kept)
    drawn, labels = load_drawings(opt.passes.split(","))
    held = np.isin(labels[:, 0], opt.hold_out.split(","))
    concept = torch.tensor([words.number[name] for name in labels[:, 2]])
    sets = [labels[:, 0] == name for name in opt.hold_out.split(",") if name]
    judged = [(drawn[mask], labels[mask, 2]) for mask in sets]
    drawn, concept = drawn[~held], concept[~held]
    by_class = torch.cat([classes(part.float()) for part in drawn.split(2048)])
    photographs, photograph_labels = features.load("photographs")
    photographs = torch.from_numpy(photographs[photograph_labels[:, 2] == "train"]).float()

    branch = load_head(opt.start).train() if opt.start else fresh_branch(opt.hidden, drawn)
    averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(opt.average)
    average = torch.optim.swa_utils.AveragedModel(branch, multi_avg_fn=averaging)
    optimiser = torch.optim.AdamW(branch.parameters(), lr=opt.rate, weight_decay=opt.decay)
    per_epoch = len(drawn) // opt.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, opt.rate, total_steps=per_epoch * opt.epochs)
    saved = HEADS / f"{opt.name}.partial.pt"
    parts = {"branch": branch, "average": average, "optimiser": optimiser, "schedule": schedule}
    first = 0
    state = torch.load(saved) if saved.exists() else {}
    if state.get("drawings") == len(drawn):  # otherwise features were added since: start again
        first = state["epoch"]
        for name, part in parts.items():
            part.load_state_dict(state[name])

    for epoch in range(first, opt.epochs):
        torch.manual_seed(opt.seed * 1000 + epoch)
        order = torch.randperm(len(drawn))
        total = 0.0
        for step in range(per_epoch):
            rows = order[step * opt.batch : (step + 1) * opt.batch]
            x = drawn[rows].float()
            loss = step_loss(branch, x, by_class[rows], concept[rows], photographs, words, opt)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(branch)
            total += loss.item()
        states = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"epoch": epoch + 1, "drawings": len(drawn), **states}, saved)
        print(f"epoch {epoch + 1}: loss {total / per_epoch:.3f}", flush=True)
    result = average.module.eval()
    torch.save(result.state_dict(), HEADS / f"{opt.name}.pt")
    saved.unlink()
    for found, names in judged:
        queries = sorted(set(names))
        vectors = image_vectors((classes, result), found.float())
        texts = words.names[ENGLISH][[words.number[name] for name in queries]]
        print(recall(texts, vectors, [names == query for query in queries]))


def mixed_photographs(photographs, count, std):
    """Pairs of photographs, mixed and with noise."""
    one, two = photographs[torch.randint(len(photographs), (2, count))]
    share = torch.rand(count, 1)
    return share * one + (1 - share) * two + 0.2 * std * torch.randn_like(one)


def step_loss(branch, x, by_class, concept, photographs, words, opt):
    noisy = x + opt.noise * branch.std * torch.randn_like(x)
    photo = mixed_photographs(photographs, len(x) // 4, branch.std)
    z = (torch.cat((noisy, photo)) - branch.mean) / branch.std
    out = branch.output(F.dropout(torch.relu(branch.hidden(z)), opt.dropout))
    gate = branch.gate(z)[:, 0]
    out = out * torch.sigmoid(gate)[:, None]
    vectors = F.normalize(out[: len(x)] + by_class, dim=1)
    loss = drawing_loss(vectors, concept, words, opt)
    is_drawing = torch.cat((torch.ones(len(x)), torch.zeros(len(photo))))
    weight = torch.cat((torch.ones(len(x)), torch.full((len(photo),), 4.0)))
    loss += opt.hold * F.binary_cross_entropy_with_logits(gate, is_drawing, weight)
    return loss + opt.hold * out[len(x) :].square().sum(1).mean()


if __name__ == "__main__":
    train(options())
