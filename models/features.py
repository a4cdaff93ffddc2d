"""Runs the frozen image network over drawings and photographs and keeps the 3,920 numbers of each on disk.

Usage: features.py [passes]. Pass 0 has every drawing as it is, each further pass one changed copy of each.
Work is kept in chunks, so that a stopped run goes on where it was; finished passes are never made again.
OpenMoji and the photographs come first.
"""

import sys
import time

import numpy as np
import openvino
import torch
from torch.utils.data import DataLoader, Dataset

import augment
import drawings
import photographs
from networks import FEATURES, IMAGE_SIZE, Taps, image_network, preprocess
from paths import FEATURES as FOLDER

CHUNK = 1024
BATCH = 16


class Pixels(Dataset):
    """Pictures by number: a function makes each in the worker process that asks for it."""

    def __init__(self, makers):
        self.makers = makers

    def __len__(self):
        return len(self.makers)

    def __getitem__(self, index):
        return preprocess(self.makers[index]())


class Extractor:
    def __init__(self):
        example = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
        model = openvino.convert_model(Taps(image_network()), example_input=example)
        self.network = openvino.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 2})

    def __call__(self, makers):
        loader = DataLoader(Pixels(makers), batch_size=BATCH, num_workers=1, prefetch_factor=4)
        out = np.empty((len(makers), FEATURES), np.float16)
        done = 0
        for pixels in loader:
            out[done : done + len(pixels)] = self.network(pixels.numpy())[0]
            done += len(pixels)
        return out


def all_drawings():
    found = [*drawings.emoji_drawings(), *drawings.font_drawings(), *drawings.icon_drawings()]
    return sorted(found, key=lambda drawing: augment.seeded(drawing.source, drawing.icon).random())


def is_line_art(drawing):
    single_ink = ("emojione-monotone", "fluent-emoji-high-contrast", *drawings.ICON_SETS)
    return drawing.source.startswith(drawings.FONT_SET) or drawing.source in single_ink


def copy_maker(drawing, number):
    if number == 0:
        return lambda: augment.plain(drawing.svg)
    rng = augment.seeded("pass", number, drawing.source, drawing.icon)
    return lambda: augment.changed(drawing.svg, rng, is_line_art(drawing))


def store(extractor, name, labels, makers):
    """Features of `makers` in numbered chunks named after what they hold."""
    for start in range(0, len(makers), CHUNK):
        path = FOLDER / f"{name}-{start // CHUNK:03}.npz"
        if path.exists():
            continue
        began = time.time()
        part = makers[start : start + CHUNK]
        features = extractor(part)
        np.savez(path.with_suffix(".part.npz"), features=features, labels=np.array(labels[start : start + CHUNK]))
        path.with_suffix(".part.npz").rename(path)
        print(f"{path.name}: {len(part) / (time.time() - began):.1f} pictures/s", flush=True)


def load(name):
    """(features, labels) of all chunks there are; labels are rows of strings."""
    parts = [np.load(path) for path in sorted(FOLDER.glob(f"{name}-[0-9][0-9][0-9].npz"))]
    return np.concatenate([part["features"] for part in parts]), np.concatenate([part["labels"] for part in parts])


def drawing_labels(found):
    return [(drawing.source, drawing.icon, drawing.concept) for drawing in found]


def make_photographs(extractor):
    labels, makers = [], []
    for number, path in enumerate(photographs.pictures()):
        for crop in photographs.crops(number, path):
            labels.append((str(number), path.stem, "held-out" if photographs.held_out(number) else "train"))
            makers.append(lambda crop=crop.resize((320, 320 * crop.height // crop.width)): crop)
    store(extractor, "photographs", labels, makers)
    stamps = list(photographs.stamps())
    labels = [("stamp", path.stem, words) for words, path in stamps]
    store(extractor, "stamps", labels, [lambda path=path: photographs.opened(path) for _, path in stamps])


def main(passes):
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    extractor = Extractor()
    test = list(drawings.test_drawings())
    store(extractor, "openmoji", drawing_labels(test), [lambda one=one: augment.plain(one.svg) for one in test])
    make_photographs(extractor)
    found = all_drawings()
    for number in range(passes):
        store(extractor, f"pass{number}", drawing_labels(found), [copy_maker(one, number) for one in found])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
