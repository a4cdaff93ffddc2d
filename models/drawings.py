"""The drawings: which sets, under which licences, and which concept each drawing shows.

A concept is an emoji by the name that Noto (else Twemoji) gives it, so that the same thing drawn by ten hands
is one concept. Icon sets add drawings of the concepts whose name they share, and concepts of their own.
"""

import io
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from paths import NPM

# set name -> licence. All of these are trained on.
EMOJI_SETS = {
    "noto": "Apache-2.0",
    "twemoji": "CC-BY-4.0",
    "noto-v1": "Apache-2.0",
    "fluent-emoji-flat": "MIT",
    "fluent-emoji-high-contrast": "MIT",
    "fxemoji": "Apache-2.0",
    "emojione": "CC-BY-4.0",
    "emojione-monotone": "CC-BY-4.0",
    "streamline-emojis": "CC-BY-4.0",
}
FONT_SET = "noto-emoji-font"  # OFL-1.1, line drawings; two weights of it
FONT_WEIGHTS = (300, 700)
ICON_SETS = {
    "icon-park": "Apache-2.0",
    "tabler": "MIT",
    "lucide": "ISC",
    "flat-color-icons": "MIT",
    "hugeicons": "MIT",
    "ph": "MIT",
    "mdi": "Apache-2.0",
    "game-icons": "CC-BY-3.0",
}
TEST_SET = "openmoji"  # CC-BY-SA-4.0: evaluation only

# Emoji that differ from another only in a person's looks, or in flags' and letters' fine print.
LEFT_OUT = re.compile(
    r"skin-tone|tone-?\d|^flag|family|couple|facing-right|^kiss-|(^|-)(man|men|woman|women)(-|$)"
    r"|-(dark|light|medium)$|regional-indicator|^tag-"
)
ICON_STYLE = re.compile(r"-(outline|outlined|bold|fill|filled|light|thin|duotone|line|round|sharp|solid|alt|\d+)$")


@dataclass(frozen=True)
class Drawing:
    source: str
    icon: str
    concept: str
    svg: str


@cache
def icon_set(name):
    return json.loads((NPM / "@iconify-json" / name / "icons.json").read_text())


def svg_of(name, icon):
    icons = icon_set(name)
    entry = icons["icons"][icon]
    width = entry.get("width", icons.get("width", 16))
    height = entry.get("height", icons.get("height", 16))
    left, top = entry.get("left", 0), entry.get("top", 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}"><g color="#000">{entry["body"]}</g></svg>'
    )


def words_of(concept):
    return concept.replace("-", " ")


def squash(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())


@cache
def unicode_emoji():
    """emojibase's list: code points, label and tags of every emoji."""
    entries = json.loads((NPM / "emojibase-data" / "en" / "data.json").read_text())
    return {entry["hexcode"].lower().replace("-fe0f", ""): entry for entry in entries}


@cache
def names_by_code():
    """Code points -> concept, as Noto, else Twemoji, name them."""
    found = {}
    for name in ("twemoji", "noto"):
        chars = json.loads((NPM / "@iconify-json" / name / "chars.json").read_text())
        found.update({code.replace("-fe0f", ""): icon for code, icon in chars.items()})
    return {code: concept for code, concept in found.items() if not LEFT_OUT.search(concept)}


@cache
def emoji_concepts():
    concepts = set()
    for name in ("noto", "twemoji"):
        concepts.update(icon for icon in icon_set(name)["icons"] if not LEFT_OUT.search(icon))
    return concepts


@cache
def concept_aliases():
    """Squashed other names of emoji (shortcodes, labels, Unicode's own names, the sets' aliases) -> concept."""
    aliases = {}
    folder = NPM / "emojibase-data" / "en" / "shortcodes"
    for kind in ("joypixels", "iamcal", "github", "emojibase", "cldr"):
        for code, names in json.loads((folder / f"{kind}.json").read_text()).items():
            concept = names_by_code().get(code.lower().replace("-fe0f", ""))
            if concept:
                for name in [names] if isinstance(names, str) else names:
                    aliases[squash(name)] = concept
    for code, concept in names_by_code().items():
        if "-" not in code:
            aliases[squash(unicodedata.name(chr(int(code, 16)), code))] = concept
        if code in unicode_emoji():
            aliases[squash(unicode_emoji()[code]["label"])] = concept
    for name in ("twemoji", "noto"):
        for alias, entry in icon_set(name).get("aliases", {}).items():
            if entry["parent"] in emoji_concepts():
                aliases[squash(alias)] = entry["parent"]
    aliases.update({squash(concept): concept for concept in emoji_concepts()})
    return aliases


def concept_of(icon):
    plain = re.sub(r"-\d$", "", icon)
    return concept_aliases().get(squash(icon)) or concept_aliases().get(squash(plain))


def emoji_drawings():
    for name in EMOJI_SETS:
        for icon in icon_set(name)["icons"]:
            if not LEFT_OUT.search(icon):
                concept = concept_of(icon)
                if concept:
                    yield Drawing(name, icon, concept, svg_of(name, icon))


def font_drawings():
    """The Noto Emoji font's glyphs of single code points, as SVG."""
    from fontTools.pens.boundsPen import BoundsPen
    from fontTools.pens.svgPathPen import SVGPathPen
    from fontTools.ttLib import TTFont

    files = NPM / "@fontsource" / "noto-emoji" / "files"
    for weight in FONT_WEIGHTS:
        seen = set()  # the font's files overlap
        for path in sorted(files.glob(f"noto-emoji-*-{weight}-normal.woff2")):
            font = TTFont(io.BytesIO(path.read_bytes()))
            glyphs = font.getGlyphSet()
            for code, glyph in font.getBestCmap().items():
                concept = names_by_code().get(f"{code:x}")
                bounds = BoundsPen(glyphs)
                glyphs[glyph].draw(bounds)
                if not concept or not bounds.bounds or code in seen:
                    continue
                seen.add(code)
                pen = SVGPathPen(glyphs)
                glyphs[glyph].draw(pen)
                left, bottom, right, top = bounds.bounds
                side = max(right - left, top - bottom) * 1.06
                x, y = (left + right - side) / 2, -(top + bottom + side) / 2
                svg = (
                    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x:.0f} {y:.0f} {side:.0f} {side:.0f}">'
                    f'<path transform="scale(1,-1)" d="{pen.getCommands()}"/></svg>'
                )
                yield Drawing(f"{FONT_SET}-{weight}", glyph, concept, svg)


def icon_drawings():
    """Icons that bear an emoji's name: more hands for the same concepts."""
    for name in ICON_SETS:
        for icon in icon_set(name)["icons"]:
            plain = icon
            while ICON_STYLE.search(plain):
                plain = ICON_STYLE.sub("", plain)
            concept = plain if plain in emoji_concepts() else None
            if concept:
                yield Drawing(name, icon, concept, svg_of(name, icon))


def test_drawings():
    """OpenMoji's emoji that Noto or Twemoji also name."""
    named = set()
    for name in ("noto", "twemoji"):
        named.update(icon_set(name)["icons"], icon_set(name).get("aliases", {}))
    for icon in icon_set(TEST_SET)["icons"]:
        if icon in named and not LEFT_OUT.search(icon):
            yield Drawing(TEST_SET, icon, icon, svg_of(TEST_SET, icon))
