"""The openly licensed photographs: crops that hold the drawings branch at zero, and kept-back ones that judge it."""

import importlib.util
from pathlib import Path

from PIL import Image, ImageOps

from augment import seeded
from networks import over_white
from paths import DEBIAN

BACKGROUNDS = (
    "gnome-backgrounds",
    "mate-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "ukui-wallpapers",
)
# The photographs among the test images of scikit-image and scikit-learn.
WHEEL_PICTURES = {
    "skimage": ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png")
    + ("horse.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "rocket.jpg", "camera.png"),
    "sklearn": ("china.jpg", "flower.jpg"),
}
CROPS_PER_PICTURE = 32
HELD_OUT_EVERY = 5  # every fifth image is used for evaluation, not for training


def pictures():
    """Paths of the images, in a fixed order."""
    found = []
    for package in BACKGROUNDS:
        paths = (DEBIAN / package).rglob("*")
        found += sorted(path for path in paths if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    for package, names in WHEEL_PICTURES.items():
        root = Path(importlib.util.find_spec(package).origin).parent
        folder = root / ("data" if package == "skimage" else "datasets/images")
        found += [folder / name for name in names]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def held_out(number):
    return number % HELD_OUT_EVERY == 0


def opened(path, longest=1600):
    image = ImageOps.exif_transpose(Image.open(path))
    image.draft("RGB", (longest, longest))
    image.thumbnail((longest, longest))
    return over_white(image)


def crops(number, path):
    """The complete image first, then random squares of it."""
    image = opened(path)
    rng = seeded("photograph", number)
    yield image
    for _ in range(CROPS_PER_PICTURE - 1):
        side = int(min(image.size) * rng.uniform(0.25, 1.0))
        left, top = rng.randint(0, image.width - side), rng.randint(0, image.height - side)
        crop = image.crop((left, top, left + side, top + side))
        yield ImageOps.mirror(crop) if rng.random() < 0.5 else crop


def stamps():
    """Tux Paint's photographic stamps (objects cut out, on white): evaluation only. (words, path) pairs."""
    root = DEBIAN / "tuxpaint-stamps-default" / "usr/share/tuxpaint/stamps"
    skipped = ("cartoon", "symbols", "toys", "flags", "roadsigns", "military", "seasonal", "planets", "moon")
    for path in sorted(root.rglob("*.png")):
        text = path.with_suffix(".txt")
        if not any(part in skipped for part in path.parts) and text.exists() and not path.stem.endswith("_mirror"):
            yield text.read_text(encoding="utf-8").splitlines()[0].strip().rstrip("."), path
