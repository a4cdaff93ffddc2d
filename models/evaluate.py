"""Measures a head, or the exported model, on what it was not trained on. Usage: evaluate.py [head.pt] [--photographs LIST]

Without a head, the exported f16 weights are evaluated, as the server uses them. LIST has photographs of one's own: a
line of tab-separated columns `file`, then languages' codes, and a line for each photograph with its path and what to
ask for in each language.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import features
from augment import plain
from concepts import foreign_words, unnamed_queries
from drawings import test_drawings, words_of
from export import exported_image_side
from networks import KeptTexts, image_network
from photographs import opened
from projection import classes_branch, image_vectors, finished_head

# "OpenMoji by names in other languages" asks in these.
LANGUAGES = ("zh", "de", "es", "fr", "ja", "ru", "hi", "ko", "pt", "it")


def recall(texts, images, right):
    """Share of texts with a right image first, and among the first ten. right[i]: mask over the images."""
    ranked = (texts @ images.T).topk(min(10, len(images)), dim=1).indices.numpy()
    hits = [mask[best] for mask, best in zip(right, ranked)]
    return {
        "texts": len(hits),
        "recall@1": round(sum(bool(hit[0]) for hit in hits) / len(hits), 4),
        "recall@10": round(sum(bool(hit.any()) for hit in hits) / len(hits), 4),
    }


def openmoji_figures(texts, vectors, names):
    named = recall(texts.encode([words_of(name) for name in names]), vectors, [names == name for name in names])
    queries = unnamed_queries()
    masks = [sum(names == target for target in targets) > 0 for _, targets in queries]
    unnamed = recall(texts.encode([query for query, _ in queries]), vectors, masks)
    by_language = {language: by_foreign_names(texts, vectors, names, language) for language in LANGUAGES}
    return {"OpenMoji by name": named, "OpenMoji by words in no name": unnamed, "OpenMoji by name in": by_language}


def by_foreign_names(texts, vectors, names, language):
    words = foreign_words(language)
    known = [name for name in names if name in words]
    return recall(texts.encode([words[name][0] for name in known]), vectors, [names == name for name in known])


def own_photographs(texts, network, branches, path):
    """Photographs that are listed in a file, by each language's words for them."""
    header, *rows = [line.split("\t") for line in Path(path).read_text().splitlines()]
    extractor = features.Extractor(network)
    found = extractor([lambda row=row: opened(Path(path).parent / row[0]) for row in rows])
    vectors = image_vectors(branches, torch.from_numpy(found).float())
    figures = {}
    for column, language in enumerate(header[1:], 1):
        asked = np.array([row[column] for row in rows])
        figures[language] = recall(texts.encode(list(asked)), vectors, [asked == one for one in asked])
    return figures


def photograph_figures(classes, drawn, class_vectors):
    """How far the drawings branch moves photographs: nearest class kept, cosine kept, gate."""
    figures = {}
    for name in ("photographs", "stamps"):
        found, labels = features.load(name)
        if name == "photographs":
            found = found[labels[:, 2] == "held-out"]
        found = torch.from_numpy(found).float()
        alone, both = image_vectors([classes], found), image_vectors([classes, drawn], found)
        seen = classes(found).norm(dim=1) > 0
        first = [(vectors @ class_vectors.T).argmax(1) for vectors in (alone, both)]
        gate = torch.sigmoid(drawn.gate((found - drawn.mean) / drawn.std))
        figures[name] = {
            "pictures": int(seen.sum()),
            "nearest class kept": round((first[0] == first[1])[seen].float().mean().item(), 4),
            "cosine kept": round(F.cosine_similarity(alone, both)[seen].mean().item(), 4),
            "gate over 0.5": round((gate > 0.5).float().mean().item(), 4),
        }
    return figures


def stamp_figures(texts, branches):
    """Photographic stamps by the words on them: a proxy for photographs of objects."""
    found, labels = features.load("stamps")
    words = labels[:, 2]
    queries = sorted(set(words))
    vectors = image_vectors(branches, torch.from_numpy(found).float())
    return recall(texts.encode([f"a photo of a {q}" for q in queries]), vectors, [words == q for q in queries])


def trained(head):
    """Branches of a head that was not exported yet, and OpenMoji's kept features."""
    drawn = finished_head(head)
    found, labels = features.load("openmoji")
    return classes_branch(image_network(), KeptTexts()), drawn, found, labels[:, 2]


def exported():
    """Branches as models/clipdb-multilingual has them, and OpenMoji run through its image network."""
    network, (classes, drawn) = exported_image_side()
    test = list(test_drawings())
    found = features.Extractor(network)([lambda one=one: plain(one.svg) for one in test])
    return classes, drawn, found, np.array([one.concept for one in test])


@torch.inference_mode()
def main(head, photographs):
    torch.set_num_threads(2)
    texts = KeptTexts()
    classes, drawn, found, names = trained(head) if head else exported()
    branches = (classes, drawn)
    vectors = image_vectors(branches, torch.from_numpy(found).float())
    figures = openmoji_figures(texts, vectors, names)
    figures["moved photographs"] = photograph_figures(classes, drawn, F.normalize(classes.output.weight.T, dim=1))
    figures["stamps, classes alone"] = stamp_figures(texts, [classes])
    figures["stamps"] = stamp_figures(texts, branches)
    if photographs:
        figures["photographs"] = own_photographs(texts, image_network(), branches, photographs)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("head", nargs="?")
    parser.add_argument("--photographs")
    arguments = parser.parse_args()
    main(arguments.head, arguments.photographs)
