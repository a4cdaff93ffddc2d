#!/usr/bin/env python3
"""Prints the sentences of a plain text, one per line.

    sentences.py book.txt > sentences.txt

Empty lines separate paragraphs. A full stop after an abbreviation (Mr., Mrs., &c.)
or an initial does not end a sentence, and a quotation mark after the stop belongs to
it. Headings, the text before the first chapter, the text around a Project Gutenberg
book and the underscores that mark its italics are left out.
"""

import re
import sys

ABBREVIATIONS = {
    "Mr", "Mrs", "Ms", "Dr", "St", "Messrs", "Esq", "Col", "Capt", "Gen", "Lieut", "Rev", "Hon",
    "Jun", "Sen", "No", "Vol", "vol", "viz", "etc", "c", "i.e", "e.g",
}
# A stop, the closing quotation marks and brackets, a space, and then the first characters of a
# sentence.
BOUNDARY = re.compile(r"""[.!?]+["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9])""")
LAST_WORD = re.compile(r"([\w.]+)\.$")
HEADING = re.compile(r"(chapter|volume|book|part)\s+[\divxlc]+\.?$", re.IGNORECASE)
FEWEST_WORDS = 4


def paragraphs(text):
    begin = re.search(r"^\*\*\* ?START OF TH.*\*\*\*\s*$", text, re.MULTILINE)
    end = re.search(r"^(\*\*\* ?END OF TH|End of (the )?Project Gutenberg)", text, re.MULTILINE)
    text = text[begin.end() if begin else 0 : end.start() if end else None]
    text = re.split(r"\n\s*\n", text.replace("_", ""))
    text = [" ".join(paragraph.split()) for paragraph in text]
    headings = [place for place, paragraph in enumerate(text) if HEADING.match(paragraph)]
    for paragraph in text[headings[0] if headings else 0 :]:
        if paragraph != paragraph.upper() and not HEADING.match(paragraph):
            yield paragraph


def ends_in_abbreviation(text):
    word = LAST_WORD.search(text)
    return bool(word) and (word[1] in ABBREVIATIONS or re.fullmatch(r"[A-Z]", word[1]) and word[1] != "I")


def sentences(paragraph):
    found, start = [], 0
    for boundary in BOUNDARY.finditer(paragraph):
        sentence = paragraph[start : boundary.end()].strip()
        if ends_in_abbreviation(sentence) or len(sentence.split()) < FEWEST_WORDS:
            continue  # "Oh!" has no meaning of its own: it stays with the next sentence
        found.append(sentence)
        start = boundary.end()
    rest = paragraph[start:].strip()
    if found and len(rest.split()) < FEWEST_WORDS:
        found[-1] = f"{found[-1]} {rest}".strip()
    elif rest:
        found.append(rest)
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"sentences.py: {sys.argv[1]}: {error}")
    for paragraph in paragraphs(text):
        for sentence in sentences(paragraph):
            print(sentence)


if __name__ == "__main__":
    main()
