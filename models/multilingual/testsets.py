"""The texts that measures.py asks for and what answers them. None of it is trained on.

Labels and keywords of emoji (npm emojibase-data), names of ImageNet's classes with imitated photographs of them, 59
everyday things in nine languages (everyday.tsv: the English word, the classes it names, and the words in LANGUAGES),
bare and in the first template of the language (templates.tsv), and the Cranfield collection, if its folder is given.
"""

import json
import random
import re
import runpy
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from paths import EVERYDAY_WORDS, MINI, NPM, PYPI, TEMPLATES

# By the codes of everyday.tsv and templates.tsv.
LANGUAGES = {"zh": "zho", "de": "deu", "es": "spa", "fr": "fra", "ja": "jpn", "ru": "rus", "hi": "hin", "ar": "ara"}
LABEL_LANGUAGES = "zh de es fr ja ru hi ko pt it fi uk".split()
KEYWORDS = 1500
CLASSES = 1000
MINI_THRESHOLD = 2.8  # is subtracted in the bias of clipdb-mini's branch `classes`
THRESHOLD = 3.5  # is subtracted in clipdb-multilingual's (models/projection.py)
# Settings of the imitated photographs with which MiniLM finds about what it finds on real ones (0.861 / 0.984).
STRENGTH = (4.0, 10.0)  # of the class itself
SPREAD = 2.0  # of the channels, in deviations of their own
ALIKE, MIXED = 3, 1.0  # so many other classes, up to so much of the first one's strength


@cache
def class_names():
    file = PYPI / "torchvision" / "torchvision" / "models" / "_meta.py"
    return runpy.run_path(str(file))["_IMAGENET_CATEGORIES"]


@cache
def templates():
    """{language: sentences with a gap}; the first asks for a photograph."""
    lines = [line.split("\t") for line in TEMPLATES.read_text().splitlines()]
    return {language: sentences for language, *sentences in lines}


@cache
def everyday():
    """[(numbers of the classes that the thing is, {language: its word})]"""
    found = []
    for line in EVERYDAY_WORDS.read_text().splitlines():
        english, classes, *others = line.split("\t")
        wanted = classes.split(",")
        numbers = [number for number, name in enumerate(class_names()) if name in wanted]
        found.append((numbers, dict(zip(["en", *LANGUAGES], [english, *others]))))
    return found


@cache
def emoji(language):
    entries = json.loads((NPM / "emojibase-data" / language / "data.json").read_text())
    return {entry["hexcode"]: entry for entry in entries}


@cache
def labels():
    """Codes and English labels of all emoji but letters and parts of others."""
    english = emoji("en")
    codes = [code for code, entry in english.items() if entry.get("group") is not None]
    return codes, [english[code]["label"] for code in codes]


def words(text):
    return set(re.findall(r"\w+", text.lower()))


@cache
def keyword_queries():
    """[(keyword, numbers of the labels that carry it)] of keywords that share no word with any of these labels."""
    codes, names = labels()
    carried = {}
    for number, code in enumerate(codes):
        for tag in emoji("en")[code].get("tags", []):
            carried.setdefault(tag.lower(), []).append(number)
    queries = [
        (tag, numbers)
        for tag, numbers in carried.items()
        if not any(words(tag) & words(names[number]) for number in numbers)
    ]
    random.Random(0).shuffle(queries)
    return queries[:KEYWORDS]


@cache
def foreign_labels(language):
    """Labels in a language, and the number of each one's English label."""
    number = {code: n for n, code in enumerate(labels()[0])}
    found = [(entry["label"], number[code]) for code, entry in emoji(language).items() if code in number]
    return [label for label, _ in found], [n for _, n in found]


@cache
def photographs():
    """Weights of the class names [n, 1000], as the branch `classes` gives them, of one imitated photograph a class.

    A photograph's features: channels as the network's last batch norm has them, plus the class's row of the
    classifier, plus some of the rows of three classes that are like it.
    """
    rng = np.random.default_rng(0)
    image, projection = (load_file(MINI / f"{name}.safetensors") for name in ("image", "projection"))
    weight = projection["image_projection.classes.hidden.weight"].astype(np.float32)
    bias = projection["image_projection.classes.hidden.bias"] + MINI_THRESHOLD
    gain, shift = (image[f"vision_model._bn1.{name}"] for name in ("weight", "bias"))
    channels = weight.shape[1]
    sample = np.clip(shift + gain * rng.standard_normal((2048, channels)), 0, 6)
    mean, deviation = sample.mean(0), sample.std(0) / 7**0.5  # of a mean over places, about seven of them independent
    rows = weight - weight.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    strength = rng.uniform(*STRENGTH, (CLASSES, 1))
    features = mean + SPREAD * deviation * rng.standard_normal((CLASSES, channels)) + strength * rows
    alike = rows @ rows.T
    np.fill_diagonal(alike, -9)
    odds = np.exp(12 * alike)
    odds /= odds.sum(1, keepdims=True)
    for _ in range(ALIKE):
        others = [rng.choice(CLASSES, p=row) for row in odds]
        features += MIXED * rng.uniform(0, 1, (CLASSES, 1)) * strength * rows[others]
    return np.maximum(np.maximum(features, 0) @ weight.T + bias - THRESHOLD, 0).astype(np.float32)


@cache
def cranfield(folder):
    """Documents and questions [(number, text)], and the relevant documents of each question."""
    folder = Path(folder)
    joined = lambda text: re.sub(r"\s+", " ", text).strip()
    whole = (folder / "cran.all.1400.xml").read_text()
    found = re.findall(r"<docno>(\d+)</docno>.*?<text>(.*?)</text>", whole, re.DOTALL)
    documents = [(number, joined(text)) for number, text in found if text.strip()]
    titles = re.findall(r"<title>(.*?)</title>", (folder / "cran.qry.xml").read_text(), re.DOTALL)
    relevant = {}
    for line in (folder / "cranqrel.trec.txt").read_text().splitlines():
        question, _, document, grade = line.split()
        if int(grade) > 0:
            relevant.setdefault(question, set()).add(document)
    # The judgments count the questions in their order.
    questions = [(str(number), joined(title)) for number, title in enumerate(titles, 1) if str(number) in relevant]
    return documents, questions, relevant


def every_text(cranfield_folder=None):
    """{set: texts}"""
    sets = {"labels": labels()[1], "keywords": [tag for tag, _ in keyword_queries()]}
    sets |= {f"labels-{language}": foreign_labels(language)[0] for language in LABEL_LANGUAGES}
    sets["classes"] = class_names()
    sets["classes-templated"] = [templates()["eng"][0].format(name) for name in class_names()]
    for language, code in LANGUAGES.items():
        bare = [words[language] for _, words in everyday()]
        sets[f"everyday-{language}"] = bare
        sets[f"everyday-{language}-templated"] = [templates()[code][0].format(word) for word in bare]
    if cranfield_folder:
        documents, questions, _ = cranfield(cranfield_folder)
        sets["cranfield-documents"] = [text for _, text in documents]
        sets["cranfield-questions"] = [text for _, text in questions]
    return sets
