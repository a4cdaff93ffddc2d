"""Runs the frozen networks over the texts of texts.py and testsets.py and keeps what they give in the cache folder.

Usage: features.py [--cranfield FOLDER]. For each group NAME of texts: NAME.means.npy [n, 3, 384], E5's token means
after layers 4, 7 and 9; NAME.states.npy [tokens, 384], its states after layer 4, which the trained layers start from;
NAME.begin.npy [n + 1], where each text begins in them; NAME.use.npy [n, 512]; NAME.share.npy [n], how much of each
text USE can read. Groups that are learned from have their teachers' vectors, too. What there is, is not made again.
"""

import argparse
import functools
import json
import time

import numpy as np

import frozen
import testsets
from paths import FEATURES, TEXTS

TAPS = (4, 7, 9)  # of E5's nine layers
FROZEN = 4  # of them stay as they are
TAUGHT = ("english", "glosses", "messages-english", "sentences", "passages")
E5_LAYERS = 12  # as a teacher, E5 has all of them, and its prompt
PROMPT = "query: "


@functools.cache
def corpus():
    return json.loads(TEXTS.read_text())


@functools.cache
def kept(name, kind):
    return np.load(FEATURES / f"{name}.{kind}.npy", mmap_mode="r")


def test(name):
    """The group's name of a set of testsets.py."""
    return f"test-{name}"


def load(name, rows=slice(None)):
    """Means, USE's vectors, shares and lengths of some texts of a group."""
    parts = [kept(name, kind)[rows] for kind in ("means", "use", "share")]
    return *map(np.asarray, parts), np.diff(kept(name, "begin"))[rows]


def unit(x):
    x = np.asarray(x, np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def save(name, **arrays):
    for kind, array in arrays.items():
        path = FEATURES / f"{name}.{kind}.npy"
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            np.save(file, array)
        part.rename(path)


def missing(names, kind):
    return [name for name in names if not (FEATURES / f"{name}.{kind}.npy").exists()]


def read(groups):
    if not (names := missing(groups, "share")):
        return
    e5, use = frozen.e5(TAPS, FROZEN), frozen.Use()
    for name in names:
        start = time.time()
        means, states, begin = e5(groups[name])
        vectors, share = use(groups[name])
        save(name, means=means, states=states, begin=begin, use=vectors, share=share)
        print(name, len(groups[name]), "texts", begin[-1], "tokens", f"{time.time() - start:.0f} s", flush=True)


def teach(groups):
    teachers = {
        "mini": (frozen.mini, ""),
        "e5": (lambda: frozen.e5((E5_LAYERS,), layers=range(E5_LAYERS)), PROMPT),
    }
    for kind, (network, prompt) in teachers.items():
        if names := missing(TAUGHT, kind):
            network = network()
            for name in names:
                save(name, **{kind: unit(network(groups[name], prompt)[0][:, 0]).astype(np.float16)})
                print(name, "by the teacher", kind, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cranfield", help="the folder of the Cranfield collection")
    FEATURES.mkdir(parents=True, exist_ok=True)
    groups = corpus()["texts"]
    tests = testsets.every_text(parser.parse_args().cranfield)
    read(groups | {test(name): texts for name, texts in tests.items()})
    teach(groups)


if __name__ == "__main__":
    main()
