"""Draws the texts of a training step and what the teachers say of them."""

import functools

import numpy as np

from features import corpus, kept, load, unit

# Of a language's texts fewer are drawn than there are (the square root), and these languages more often: USE cannot
# read Hindi, and of the others there is little or they were the weakest.
OFTEN = {"hin": 2.6, "rus": 1.2, "ara": 1.3, "fin": 1.5, "hi": 1.6, "uk": 1.6, "ko": 1.5}
TEMPLATED_SHARE = 0.42  # of the foreign words
BY_LANGUAGE = ("foreign", "foreign-templated", "messages")
TRANSLATED = ("foreign", "english-templated", "messages")
# The teacher's vector of a text joins those of MiniLM, E5 with all its layers, and USE with these weights. USE is good
# at short texts and bad at passages.
SHORT = {"mini": 1.0, "e5": 0.7, "use": 0.6}
LONG = {"mini": 1.0, "e5": 1.0, "use": 0.05}
SAME = 0.85  # texts that are so alike to the teacher are no counter-examples of one another


class Draws:
    """`sizes`: how many pairs a step has of foreign words, English ones in a template, messages, glosses, and related
    words; and how many passages."""

    def __init__(self, sizes, seed):
        self.rng = np.random.default_rng(seed)
        self.sizes = sizes
        self.translated = sum(sizes[name] for name in TRANSLATED)
        self.count = sum(size for name, size in sizes.items() if name != "passages")
        self.of = {name: np.array(rows) for name, rows in corpus()["of"].items()}
        self.related = np.array(corpus()["related"])
        self.odds = {name: self.odds_of(corpus()["languages"][name]) for name in BY_LANGUAGE}

    @staticmethod
    def odds_of(languages):
        kinds, number, counts = np.unique(languages, return_inverse=True, return_counts=True)
        weights = counts**-0.5 * np.array([OFTEN.get(kind, 1.0) for kind in kinds])
        return np.cumsum(weights[number] / weights[number].sum())

    def rows(self, name, count):
        """Numbers of texts of a group and of those that say the same."""
        if name == "related":
            pairs = self.related[self.rng.integers(len(self.related), size=count)]
            return self.rng.permuted(pairs, axis=1).T
        if name in self.odds:
            rows = np.minimum(np.searchsorted(self.odds[name], self.rng.random(count)), len(self.of[name]) - 1)
        else:
            rows = self.rng.choice(len(self.of[name]), count, False)
        return rows, self.of[name][rows]

    def short(self):
        """Left and right sides of the pairs, each [(group, rows)]; the translated ones first, then glosses."""
        templated = self.rng.binomial(self.sizes["foreign"], TEMPLATED_SHARE)
        counts = {"foreign": self.sizes["foreign"] - templated, "foreign-templated": templated}
        counts |= {name: self.sizes[name] for name in ("english-templated", "messages", "glosses", "related")}
        left, right = [], []
        for name, count in counts.items():
            rows, same = self.rows(name, count)
            left.append(("english" if name == "related" else name, rows))
            right.append(("messages-english" if name == "messages" else "english", same))
        return left, right

    def long(self):
        """Sentences and their passages."""
        sentences, passages = self.rows("sentences", self.sizes["passages"])
        return [("sentences", sentences)], [("passages", passages)]


def joined(parts):
    """Frozen features of texts [(group, rows)]: what the functions of model.py take."""
    return [np.concatenate(arrays) for arrays in zip(*(load(name, rows) for name, rows in parts))]


@functools.cache
def e5_mean():
    return np.asarray(kept("english", "e5"), np.float32).mean(0)


@functools.cache
def teachers(name):
    """{teacher: unit vectors f16} of a group; E5's less their mean, for they all point one way."""
    found = {"mini": kept(name, "mini"), "e5": kept(name, "e5") - e5_mean(), "use": kept(name, "use")}
    return {kind: unit(vectors).astype(np.float16) for kind, vectors in found.items()}


def taught(parts, weights):
    """The teachers' vectors of texts [(group, rows)]; their products are the weighted mean of the teachers' cosines."""
    total = sum(weights.values())
    rows_of = lambda name, rows: [
        (weight / total) ** 0.5 * teachers(name)[kind][rows].astype(np.float32) for kind, weight in weights.items()
    ]
    return np.concatenate([np.concatenate(rows_of(name, rows), 1) for name, rows in parts])


def same(vectors):
    return (vectors @ vectors.T > SAME).astype(np.float32)
