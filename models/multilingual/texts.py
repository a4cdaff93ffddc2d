"""Writes the texts that everything is trained on, in groups, to texts.json in the cache folder.

Each group is a list of texts. `of` has the row in another group that says the same:

    foreign                     words and phrases            -> english
    foreign-templated           the same in a template       -> english
    english-templated           English ones in a template   -> english
    messages                    of programs, 22 languages    -> messages-english
    glosses                     WordNet's explanations       -> english
    sentences                   or headwords                 -> passages

Groups that begin with `held-` are never trained on: every twentieth English word or message, whole languages, and
the first passages. Words that measures.py asks for, labels and keywords of emoji are left out of what is translated.
After a change of this file, delete the features.
"""

import collections
import json
import random
import re
import zlib

import testsets
from dictionaries import good, messages, mueller, pairs, passages, wordnet
from paths import TEXTS
from tokenizers_of import use_model

HELD_LANGUAGES = ("ces", "ell", "swh")
ENGLISH = 40000  # the commonest
ENGLISH_TEMPLATED, OF_COMMONEST = 13000, 25000
# A language's commonest pairs by their English side, and how many of those are drawn. The second is larger where the
# languages matter more to us or where USE cannot read (Hindi).
POOL = {"deu": 22000, "jpn": 26000, "zho": 26000, "hin": 26000, "ara": 24000, "tur": 9000, "pol": 9000}
OTHER_POOL = 8000
DRAWN = {"hin": 12000, "ara": 8000, "zho": 8000, "jpn": 8000, "rus": 8000, "deu": 6000, "spa": 4000, "fra": 4000}
DRAWN |= {"fin": 3500, "por": 3000, "ita": 3000, "bul": 2000, "hun": 1500, "pol": 1500}
DRAWN |= {"cym": 400, "kur": 400, "isl": 400, "afr": 400, "lat": 200}
OTHER_DRAWN = 800
OFTEN_TEMPLATED = ("hin", "ara", "zho", "jpn", "deu", "rus", "spa", "fra")
MESSAGES = {"ko": 2500, "uk": 2500, "hi": 2200, "ja": 1800, "ar": 1800, "zh_CN": 1500, "zh_TW": 500, "fi": 1500}
MESSAGES |= {"ru": 1500, "de": 900, "es": 900, "fr": 900, "it": 900, "pt": 600, "pt_BR": 500}
OTHER_MESSAGES = 450
GLOSSES = 6000
PASSAGES, PASSAGE_LETTERS = 3900, 360
HELD_WORDS, HELD_LANGUAGE, HELD_MESSAGES, HELD_PASSAGES = 5000, 600, 150, 500


class Commonness:
    """How common an English phrase is, by the scores of USE's pieces: its least common word counts most."""

    def __init__(self):
        self.score = dict(use_model()[0])

    def __call__(self, text):
        scores = [max(self.score.get("▁" + form, -25) for form in (word, word.lower())) for word in text.split()]
        return min(scores) + sum(scores) / len(scores) / 2 - 0.7 * (len(scores) - 1)


def held(english):
    """By its letters, so that a word is held back in every language."""
    return zlib.crc32(re.sub(r"\W", "", english.lower()).encode()) % 20 == 0


def templated(language, text, rng):
    return rng.choice(testsets.templates().get(language, ["{}"])).format(text)


def sentences_of(text):
    found = re.split(r"(?<=[a-z)\]][.;]) +(?=[A-Z(1-9])", text)
    return [sentence for sentence in found if 25 <= len(sentence) <= 220]


class Groups:
    def __init__(self):
        self.rng = random.Random(7)
        self.texts, self.of, self.languages, self.held_kinds = {}, {}, {}, []
        self.asked = {word.lower() for _, words in testsets.everyday() for word in words.values()}

    def put(self, name, rows, english):
        """`rows` of (language, foreign text, English text), of which the last is looked up in `english`."""
        self.languages[name] = [language for language, _, _ in rows]
        self.texts[name] = [foreign for _, foreign, _ in rows]
        self.of[name] = [english[text] for _, _, text in rows]

    def add_words(self, nets):
        """english, foreign, both in templates, and the words and languages that are held back."""
        rng, common = self.rng, Commonness()
        by_language = collections.defaultdict(list)
        for language, foreign, english in pairs():
            by_language[language].append((common(english) + rng.gauss(0, 1), foreign, english))
        pool, kept_back = collections.defaultdict(list), []
        for language, rows in sorted(by_language.items()):
            rows.sort(reverse=True)
            size = POOL.get(language, OTHER_POOL)
            trained = [row for row in rows if language not in HELD_LANGUAGES and not held(row[2])]
            pool[language] = [(foreign, english) for _, foreign, english in trained[:size]]
            kind = "language" if language in HELD_LANGUAGES else "word"
            others = [row for row in rows[: 3 * size] if kind == "language" or held(row[2])]
            kept_back += [(kind, language, foreign, english) for _, foreign, english in others[:HELD_LANGUAGE]]
        wanted = {english for rows in pool.values() for _, english in rows}
        wanted |= {word for words, _, _ in nets for word in words if good(word, "eng") and not held(word)}
        english = sorted(sorted(wanted), key=common, reverse=True)[:ENGLISH]
        self.texts["english"] = english
        self.number = number = {text: n for n, text in enumerate(english)}
        pool["rus"] += sorted({pair for pair in mueller() if not held(pair[1])})  # FreeDict has few
        rows = []
        for language, every in sorted(pool.items()):
            every = [pair for pair in every if pair[1] in number and self.asked.isdisjoint(map(str.lower, pair))]
            rng.shuffle(every)
            if language == "rus":
                every.sort(key=lambda pair: number[pair[1]] + rng.random() * 20000)
            rows += [(language, *pair) for pair in every[: DRAWN.get(language, OTHER_DRAWN)]]
        self.put("foreign", rows, number)
        share = {language: 0.45 if language in OFTEN_TEMPLATED else 0.2 for language in testsets.templates()}
        chosen = [row for row in rows if rng.random() < share.get(row[0], 0)]
        self.put("foreign-templated", [(row[0], templated(row[0], row[1], rng), row[2]) for row in chosen], number)
        chosen = sorted(rng.sample(range(OF_COMMONEST), ENGLISH_TEMPLATED))
        self.texts["english-templated"] = [templated("eng", english[n], rng) for n in chosen]
        self.of["english-templated"] = chosen
        self.add_words_held_back(kept_back)

    def add_words_held_back(self, rows):
        words = [row for row in rows if row[0] == "word"]
        rows = self.rng.sample(words, HELD_WORDS) + [row for row in rows if row[0] == "language"]
        self.held_kinds = [row[0] for row in rows]
        rows = [row[1:] for row in rows]
        english = sorted({row[2] for row in rows})
        number = {text: n for n, text in enumerate(english)}
        self.texts["held-english"] = english
        self.put("held-foreign", rows, number)
        in_template = [(language, templated(language, text, self.rng), right) for language, text, right in rows]
        self.put("held-foreign-templated", in_template, number)

    def add_glosses(self, nets):
        """Glosses of common words, and pairs of words that mean the same or of which one is the kind of the other."""
        found, related = [], set()
        for words, gloss, above in nets:
            words = [self.number[word] for word in words if word in self.number]
            kinds = [self.number[word] for n in above for word in nets[n][0] if word in self.number]
            related |= {(a, b) for a in words for b in words if a < b}
            related |= {(a, b) for a in words[:1] for b in kinds[:1] if a != b}
            first = gloss.split(";")[0][:200]
            if words and len(first) > 12:
                found.append((first, self.rng.choice(words)))
        found = self.rng.sample(found, GLOSSES)
        self.texts["glosses"] = [gloss for gloss, _ in found]
        self.of["glosses"] = [n for _, n in found]
        self.related = sorted(related)

    def add_passages(self):
        """Passages, and a sentence or the headword of each, which most often is not in the passage any more."""
        rng = self.rng
        found = [*passages("dict-foldoc", 160), *passages("dict-gcide", 300)]
        rng.shuffle(found)
        rows = []
        for head, text in found:
            if len(text) > PASSAGE_LETTERS:
                text = text[:PASSAGE_LETTERS].rsplit(" ", 1)[0]
            parts = sentences_of(text)
            if len(parts) < 2:
                continue
            sentence = rng.choice(parts)
            if rng.random() < 0.35:
                rows.append((head, text))
            else:
                rows.append((sentence, text.replace(sentence, "").strip() if rng.random() < 0.7 else text))
        for prefix, part in (("held-", rows[:HELD_PASSAGES]), ("", rows[HELD_PASSAGES:PASSAGES])):
            self.texts[f"{prefix}sentences"] = [sentence for sentence, _ in part]
            self.texts[f"{prefix}passages"] = [passage for _, passage in part]
            self.of[f"{prefix}sentences"] = list(range(len(part)))

    def add_messages(self):
        """Phrases, and the only texts of Korean and Ukrainian, for which there is no dictionary here."""
        rng, catalogues = self.rng, messages()
        known_to = collections.Counter(english for known in catalogues.values() for english in known)
        names = testsets.labels()[1]
        asked = self.asked | {name.lower() for name in names} | {word for word, _ in testsets.keyword_queries()}
        rows, kept_back = [], []
        for language, known in catalogues.items():
            usable = [
                (english, text)
                for english, text in known.items()
                if english.lower() not in asked and text.lower() not in asked and not re.search(r"\d", english)
            ]
            part = [one for one in usable if not held(one[0]) and len(one[0].split()) <= 12 and len(one[1]) <= 90]
            # Those that many languages have come first, single words last.
            rank = {one: known_to[one[0]] + rng.random() * 16 - 6 * (" " not in one[0]) for one in part}
            part.sort(key=rank.get, reverse=True)
            rows += [(language, text, english) for english, text in part[: MESSAGES.get(language, OTHER_MESSAGES)]]
            part = [one for one in usable if held(one[0]) and 2 <= len(one[0].split()) <= 8 and len(one[1]) <= 70]
            rng.shuffle(part)
            kept_back += [(language, text, english) for english, text in part[:HELD_MESSAGES]]
        for name, part in (("messages", rows), ("held-messages", kept_back)):
            english = sorted({row[2] for row in part})
            self.texts[f"{name}-english"] = english
            self.put(name, part, {text: n for n, text in enumerate(english)})


def main():
    groups = Groups()
    nets = wordnet()
    groups.add_words(nets)
    groups.add_glosses(nets)
    groups.add_passages()
    groups.add_messages()
    TEXTS.parent.mkdir(parents=True, exist_ok=True)
    names = ("texts", "of", "languages", "related", "held_kinds")
    TEXTS.write_text(json.dumps({name: getattr(groups, name) for name in names}, ensure_ascii=False))
    for name, part in groups.texts.items():
        print(name, len(part), groups.rng.sample(part, 5))


if __name__ == "__main__":
    main()
