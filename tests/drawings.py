"""Renders openly licensed emoji and icons as PNG files for the benchmarks, and lists them in drawings.ndjson.

models/drawings.py defines the sets, the names and the concepts; models/fetch.py downloads the sets first.
Run by drawings.sh; safe to repeat.
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))

import resvg_py  # noqa: E402

import drawings  # noqa: E402
from paths import CACHE  # noqa: E402

SIDE = 128
FOLDER = CACHE.parent / "drawings"
# The set that the model was not trained on is first.
EMOJI = ("noto", "twemoji", "fluent-emoji-flat")
ICONS = "tabler"
ICON_COUNT = 1000


def all_drawings():
    yield from drawings.test_drawings()
    yield from (one for one in drawings.emoji_drawings() if one.source in EMOJI)
    names = [name for name in drawings.icon_set(ICONS)["icons"] if not re.search(r"-(filled|off|\d+)$", name)]
    step = max(1, len(names) // ICON_COUNT)
    for name in names[::step][:ICON_COUNT]:
        yield drawings.Drawing(ICONS, name, name, drawings.svg_of(ICONS, name))


def codes():
    return {concept: code for code, concept in drawings.names_by_code().items()}


def tags_of(concept, code):
    """Unicode's tags without those that share the stem of a word with the name."""
    entry = drawings.unicode_emoji().get(code, {})
    stems = {word[:4] for word in re.findall(r"[a-z]+", f"{concept} {entry.get('label', '')}".lower())}
    tags = entry.get("tags", [])
    return [tag for tag in tags if not any(word[:4] in stems for word in re.findall(r"[a-z]+", tag.lower()))]


def main():
    code_of = codes()
    lines = []
    for one in all_drawings():
        path = FOLDER / one.source / f"{one.icon}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = resvg_py.svg_to_bytes(svg_string=one.svg, width=SIDE, height=SIDE)
            path.write_bytes(bytes(pixels))
        code = code_of.get(one.concept, "") if one.source != ICONS else ""
        line = {
            "set": one.source,
            "name": one.icon,
            "concept": one.concept,
            "tags": tags_of(one.concept, code),
            "code": code,
            "file": str(path.relative_to(FOLDER)),
        }
        lines.append(json.dumps(line) + "\n")
    (FOLDER / "drawings.ndjson").write_text("".join(lines))
    print(f"{len(lines)} drawings in {FOLDER}")


if __name__ == "__main__":
    main()
