"""The words of each concept, as texts to train towards: its names and its keywords, in English and other languages.

What queries_unnamed.tsv asks is kept out, phrase by phrase, so that it stays a test.
"""

import json
from collections import defaultdict
from functools import cache

from drawings import names_by_code, unicode_emoji, words_of
from paths import NPM, UNNAMED_QUERIES


@cache
def unnamed_queries():
    """[(query, names of the emoji that answer it)]"""
    rows = (line.split("\t") for line in UNNAMED_QUERIES.read_text().splitlines())
    return [(query, targets.split()) for query, targets in rows]


@cache
def kept_out():
    return {query.lower() for query, _ in unnamed_queries()}


@cache
def keywords():
    """Concept -> keywords by emojibase (CLDR) and emojilib, without those that the test asks."""
    found = defaultdict(dict)
    emojilib = json.loads((NPM / "emojilib" / "dist" / "emoji-en-US.json").read_text())
    by_code = {"-".join(f"{ord(c):x}" for c in emoji).replace("-fe0f", ""): words for emoji, words in emojilib.items()}
    for code, concept in names_by_code().items():
        tags = unicode_emoji().get(code, {}).get("tags", []) + by_code.get(code, [])
        for tag in tags:
            text = tag.replace("_", " ").lower()
            if text not in kept_out() and text != words_of(concept):
                found[concept][text] = None
    return {concept: list(words) for concept, words in found.items()}


LANGUAGES = tuple("bn da de es et fi fr hi hu it ja ko lt ms nb nl pl pt ru sv th uk vi zh".split())


@cache
def foreign_words(language):
    """Concept -> (name, keywords) by emojibase (CLDR) in one of LANGUAGES."""
    entries = json.loads((NPM / "emojibase-data" / language / "data.json").read_text())
    found = {}
    for entry in entries:
        concept = names_by_code().get(entry["hexcode"].lower().replace("-fe0f", ""))
        if concept:
            found[concept] = entry["label"], entry.get("tags", [])
    return found
