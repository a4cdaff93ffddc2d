"""Runs the frozen image network over drawings and photographs and keeps the 3,920 numbers of each on disk.

Usage: features.py [pass ...]. Pass 0 has every drawing as it is, any other number one changed copy of each.
Work is kept in chunks with the labels of what they hold; what a chunk has is never made again, so a stopped run
goes on where it was, and more drawings cost only themselves.
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
from networks import FEATURES, IMAGE_SIZE, Taps, cropped, image_network, normalised
from paths import FEATURES as FOLDER

CHUNK = 512
BATCH = 16
PASSES = (1, 0, 2, 3, 4, 5, 6)


class Pixels(Dataset):
    """Images by number: a function renders each in the worker process that requests it."""

    def __init__(self, makers):
        self.makers = makers

    def __len__(self):
        return len(self.makers)

    def __getitem__(self, index):
        return torch.from_numpy(cropped(self.makers[index]()).copy())


class Extractor:
    """The network on OpenVINO, in f32, or in what the CPU is fastest in: bf16 where it has the instructions, three
    times as fast, and a quarter as far from f32 as the noise that training adds."""

    def __init__(self, network, exact=True):
        example = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
        model = openvino.convert_model(Taps(network), example_input=example)
        settings = {"INFERENCE_NUM_THREADS": 1}
        if exact:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self.network = openvino.compile_model(model, "CPU", settings)

    def __call__(self, makers):
        loader = DataLoader(Pixels(makers), batch_size=BATCH, num_workers=1, prefetch_factor=4)
        out = np.empty((len(makers), FEATURES), np.float16)
        done = 0
        for pixels in loader:
            out[done : done + len(pixels)] = self.network(normalised(pixels))[0]
            done += len(pixels)
        return out


def all_drawings():
    found = [*drawings.emoji_drawings(), *drawings.font_drawings(), *drawings.icon_drawings()]
    return sorted(found, key=lambda drawing: augment.seeded(drawing.source, drawing.icon).random())


def is_line_art(drawing):
    """Of one ink: as it is, it is what the changed copies of the others become."""
    single_ink = ("emojione-monotone", "fluent-emoji-high-contrast", *drawings.ICON_SETS)
    return drawing.source.startswith(drawings.FONT_SET) or drawing.source in single_ink


def copy_maker(drawing, number):
    if number == 0:
        return lambda: augment.plain(drawing.svg)
    rng = augment.seeded("pass", number, drawing.source, drawing.icon)
    if is_line_art(drawing):
        return lambda: augment.moved(augment.render(drawing.svg), rng)
    return lambda: augment.changed(drawing.svg, rng)


def store(extractor, name, labels, makers):
    """Features of those of `makers` that no chunk has yet, in further chunks."""
    known = {tuple(label) for path in chunks(name) for label in np.load(path)["labels"]}
    missing = [number for number, label in enumerate(labels) if tuple(label) not in known]
    for start in range(0, len(missing), CHUNK):
        began = time.time()
        part = missing[start : start + CHUNK]
        path = FOLDER / f"{name}-{len(chunks(name)):03}.npz"
        features = extractor([makers[number] for number in part])
        np.savez(path.with_suffix(".part.npz"), features=features, labels=np.array([labels[number] for number in part]))
        path.with_suffix(".part.npz").rename(path)
        print(f"{path.name}: {len(part) / (time.time() - began):.1f} images/s", flush=True)


def chunks(name):
    return sorted(FOLDER.glob(f"{name}-[0-9][0-9][0-9].npz"))


def load(name):
    """(features, labels) of all chunks there are; labels are rows of strings."""
    parts = [np.load(path) for path in chunks(name)]
    return np.concatenate([part["features"] for part in parts]), np.concatenate([part["labels"] for part in parts])


def drawing_labels(found):
    return [(drawing.source, drawing.icon, drawing.concept) for drawing in found]


def make_photographs(extractor):
    labels, makers = [], []
    for number, path in enumerate(photographs.pictures()):
        for part, crop in enumerate(photographs.crops(number, path)):
            split = "held-out" if photographs.held_out(number) else "train"
            labels.append((f"{number}.{part}", path.stem, split))
            makers.append(lambda crop=crop.resize((320, 320 * crop.height // crop.width)): crop)
    store(extractor, "photographs", labels, makers)
    stamps = list(photographs.stamps())
    labels = [("stamp", path.stem, words) for words, path in stamps]
    store(extractor, "stamps", labels, [lambda path=path: photographs.opened(path) for _, path in stamps])


def main(passes):
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    network = image_network()
    extractor = Extractor(network)
    test = list(drawings.test_drawings())
    store(extractor, "openmoji", drawing_labels(test), [lambda one=one: augment.plain(one.svg) for one in test])
    make_photographs(extractor)
    extractor = Extractor(network, exact=False)
    found = all_drawings()
    for number in passes:
        store(extractor, f"pass{number}", drawing_labels(found), [copy_maker(one, number) for one in found])


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or PASSES)
