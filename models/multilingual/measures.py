"""Measures text sides on what they were not trained on and prints the tables of README.md.

Usage: measures.py NAME ... [--cranfield FOLDER]. NAME is a side of train.py, `exported` (models/clipdb-multilingual by
text_side.py) or `mini` (clipdb-mini's MiniLM). Sides are measured in bf16 on kept features.
"""

import argparse
import functools

import jax
import numpy as np

import frozen
import model
import testsets
from features import FROZEN, TAPS, corpus, kept, load, unit
from paths import MODEL, TEXTS
from testsets import LABEL_LANGUAGES, LANGUAGES
from text_side import TextSide


def recall(queries, targets, right, at=1):
    """Share of the queries with one of their right targets (numbers) among the first ones."""
    ranked = np.argsort(-(queries @ targets.T), 1, kind="stable")[:, :at]
    return float(np.mean([not set(row).isdisjoint(answers) for row, answers in zip(ranked, right)]))


def one_each(numbers):
    return [[number] for number in numbers]


def area(present, absent):
    """Of a threshold's curve (AUC): how often a present one scores higher than an absent one."""
    order = np.concatenate((present, absent)).argsort().argsort()[: len(present)]
    return float((order.sum() - len(present) * (len(present) - 1) / 2) / (len(present) * len(absent)))


def cranfield_figure(encode, folder):
    """nDCG@10."""
    documents, questions, relevant = testsets.cranfield(folder)
    gains = 1 / np.log2(np.arange(10) + 2)
    scores = encode("test-cranfield-questions") @ encode("test-cranfield-documents").T
    found = []
    for row, (question, _) in zip(scores, questions):
        hits = [documents[number][0] in relevant[question] for number in np.argsort(-row)[:10]]
        found.append(gains[hits].sum() / gains[: len(relevant[question])].sum())
    return float(np.mean(found))


def held_figures(encode):
    """Recall@1 of words, languages, messages and passages that were held back."""
    of, languages = corpus()["of"], corpus()["languages"]
    kinds = np.array(corpus()["held_kinds"])

    def by_language(group, target, mask=slice(None)):
        vectors, targets = encode(group)[mask], encode(target)
        right, language = np.array(of[group])[mask], np.array(languages[group])[mask]
        parts = [language == name for name in np.unique(language) if (language == name).sum() >= 50]
        return float(np.mean([recall(vectors[part], targets, one_each(right[part])) for part in parts]))

    found = {}
    for ending, label in (("", ""), ("-templated", " in a template")):
        for kind in ("word", "language"):
            mask = kinds == kind
            found[f"{kind}s{label}"] = by_language(f"held-foreign{ending}", "held-english", mask)
    found["messages"] = by_language("held-messages", "held-messages-english")
    right = one_each(of["held-sentences"])
    found["passages"] = recall(encode("held-sentences"), encode("held-passages"), right)
    return found


def figures(encode, folder):
    """{table: {column: figure}} of `encode`, which gives the unit vectors of a group of texts."""
    labels = encode("test-labels")
    by_label = {
        language: recall(encode(f"test-labels-{language}"), labels, one_each(testsets.foreign_labels(language)[1]))
        for language in LABEL_LANGUAGES
    }
    images = unit(testsets.photographs() @ encode("test-classes"))
    names = encode("test-classes-templated")
    each = one_each(range(len(images)))
    scores = names @ images.T
    present = scores.max(1)
    np.fill_diagonal(scores, -np.inf)  # as if the image of the class were not there
    right = [numbers for numbers, _ in testsets.everyday()]
    found_by = lambda words: recall(encode(f"test-everyday-{words}"), images, right, 10)
    everyday = {language: [found_by(language), found_by(f"{language}-templated")] for language in LANGUAGES}
    written = lambda numbers: " / ".join(f"{number:.3f}" for number in numbers)
    keywords = recall(encode("test-keywords"), labels, [numbers for _, numbers in testsets.keyword_queries()], 10)
    summary = {
        "keywords R@10": f"{keywords:.3f}",
        "labels R@1": f"{np.mean(list(by_label.values())):.3f}",
        "photo R@1 / R@10": written([recall(names, images, each), recall(names, images, each, 10)]),
        "bare name R@1": f"{recall(encode('test-classes'), images, each):.3f}",
        "AUC": f"{area(present, scores.max(1)):.3f}",
        "everyday bare / template": written(np.mean(list(everyday.values()), 0)),
    }
    if folder:
        summary["Cranfield nDCG@10"] = f"{cranfield_figure(encode, folder):.3f}"
    tables = {"side": summary}
    tables["everyday R@10, bare / template"] = {language: written(pair) for language, pair in everyday.items()}
    tables["labels R@1"] = {language: f"{value:.3f}" for language, value in by_label.items()}
    if TEXTS.exists():
        tables["held back, R@1"] = {name: f"{value:.3f}" for name, value in held_figures(encode).items()}
    return tables


def side_encoder(name):
    """Vectors of a group by a side of train.py, from what features.py kept."""
    side, fixed = model.restore(name)
    head = jax.jit(model.head)
    means = [0, *(tap - FROZEN for tap in TAPS[1:])]
    layers = [{part: np.asarray(value) for part, value in layer.items()} for layer in side.get("layers", [])]
    network = frozen.compiled(frozen.bert_graph(layers, means)) if layers else None

    def upper_means(group):
        begin, states = kept(group, "begin"), kept(group, "states")
        lengths = np.diff(begin)
        out = np.empty((len(lengths), len(TAPS), states.shape[1]), np.float32)
        for rows in frozen.batches(lengths):
            mask = frozen.masks(lengths[rows])
            x = np.zeros((*mask.shape, states.shape[1]), np.float32)
            x[mask] = np.concatenate([states[begin[row] : begin[row + 1]] for row in rows])
            found = network([x, mask.astype(np.float32)])
            out[rows] = np.stack([found[number] for number in range(len(TAPS))], 1)
        return out

    def encode(group):
        kept_means, *others = load(group)
        return np.asarray(head(side["head"], fixed, upper_means(group) if network else kept_means, *others))

    return encode


def text_encoder(network, folder):
    """Vectors of a group by a function of its texts."""
    texts = {f"test-{name}": part for name, part in testsets.every_text(folder).items()}
    if TEXTS.exists():
        texts |= corpus()["texts"]
    return lambda group: network(texts[group])


def encoder(name, folder):
    if name == "exported":
        return text_encoder(TextSide(MODEL), folder)
    if name == "mini":
        mini = frozen.mini()
        return text_encoder(lambda texts: unit(mini(texts)[0][:, 0]), folder)
    return side_encoder(name)


def main(names, folder):
    tables = {}
    for name in names:
        for title, row in figures(functools.cache(encoder(name, folder)), folder).items():
            tables.setdefault(title, {})[name] = row
    for title, rows in tables.items():
        columns = list(next(iter(rows.values())))
        print(f"\n| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        for name, row in rows.items():
            print(f"| {name} | {' | '.join(row.values())} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--cranfield", help="the folder of the Cranfield collection")
    opt = parser.parse_args()
    main(opt.names, opt.cranfield)
