"""Draws an SVG, as it is or changed: moved, coloured, or turned into outlines as other hands would draw it.

Outlines come in two ways. `stroked` has the renderer put a dark stroke around every shape and flattens the
colours; `edges` finds edges in the rendered image. Both look like line art, and line art of many widths is
what carries from one set of drawings to another.
"""

import io
import random
import re

import numpy as np
import resvg_py
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from networks import SHORTEST_EDGE, over_white

RENDER = 256
COLOUR = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b")
FLAT_COLOURS = np.array(
    [(r, g, b) for r in (60, 150, 240) for g in (60, 150, 240) for b in (60, 150, 240)] + [(0, 0, 0), (255, 255, 255)]
)


def render(svg, size=RENDER):
    # Looking for the system's fonts would take most of the time, and no drawing has text.
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def plain(svg):
    return over_white(render(svg))


def parse_colour(text):
    digits = text[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)])


def recolour(svg, rng):
    """Fills as they are, of few colours, pale, or white; the darkest stay dark."""
    way = rng.choice(("keep", "flat", "flat", "pale", "white"))

    def change(match):
        colour = parse_colour(match.group())
        if way == "flat":
            colour = FLAT_COLOURS[np.abs(FLAT_COLOURS - colour).sum(1).argmin()]
        elif way == "pale":
            colour = (colour + 2 * 255) // 3 if colour.mean() > 70 else colour
        elif way == "white":
            colour = np.full(3, 255) if colour.mean() > 70 else np.zeros(3, int)
        return "#{:02x}{:02x}{:02x}".format(*colour)

    return svg if way == "keep" else COLOUR.sub(change, svg)


def stroked(svg, rng):
    """A dark stroke, 1.2 to 5.2 pixels wide, around every shape."""
    left, top, width, height = (float(number) for number in re.search(r'viewBox="([^"]+)"', svg).group(1).split())
    stroke = width * rng.uniform(1.2, 5.2) / RENDER
    ink = rng.choice(("#000", "#000", "#000", "#222", "#334"))
    margin = width * 0.04
    frame = f'viewBox="{left - margin} {top - margin} {width + 2 * margin} {height + 2 * margin}"'
    group = f'<g stroke="{ink}" stroke-width="{stroke:.3f}" stroke-linejoin="round" stroke-linecap="round" '
    svg = re.sub(r'viewBox="[^"]+"', frame, recolour(svg, rng), count=1)
    return render(svg.replace("<g ", group, 1))


def edges(svg, rng):
    """Edges of colour and alpha become dark strokes; colours fall to a few levels or to white."""
    image = render(svg)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), dtype=np.int16)
    across = np.abs(pixels[1:-1, 2:] - pixels[1:-1, :-2]).max(2)
    down = np.abs(pixels[2:, 1:-1] - pixels[:-2, 1:-1]).max(2)
    ink = np.pad(np.maximum(across, down) > rng.uniform(15, 50), 1)
    lines = Image.fromarray((ink * 255).astype(np.uint8))
    lines = lines.filter(ImageFilter.MaxFilter(rng.choice((1, 3, 3, 5)))).filter(ImageFilter.GaussianBlur(0.8))
    flat = np.asarray(over_white(image), dtype=np.float32)
    if rng.random() < 0.4:
        flat[:] = 255
    else:
        levels = rng.randint(1, 3)
        flat = np.round(flat / 255 * levels) / levels * 255
    result = Image.fromarray(flat.astype(np.uint8))
    result.paste((rng.randint(0, 40),) * 3, mask=lines)
    result.putalpha(ImageChops.lighter(image.getchannel("A"), lines))
    return result


def moved(image, rng):
    """Scale, turn, shift, background, tint, grey, loss of detail; 297 pixels square, as before the crop."""
    scale = rng.uniform(0.6, 1.02) * SHORTEST_EDGE / image.width
    angle = np.deg2rad(rng.uniform(-12, 12))
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    centre = SHORTEST_EDGE / 2
    x, y = (centre + rng.uniform(-0.06, 0.06) * SHORTEST_EDGE for _ in range(2))
    middle = image.width / 2
    matrix = (cos, sin, middle - cos * x - sin * y, -sin, cos, middle + sin * x - cos * y)
    image = image.convert("RGBA").transform((SHORTEST_EDGE,) * 2, Image.AFFINE, matrix, Image.BICUBIC)
    alpha = image.getchannel("A")
    if rng.random() < 0.5:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0, 1.6))
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.85, 1.15))
        image.putalpha(alpha)
    ground = (255, 255, 255) if rng.random() < 0.85 else tuple(rng.randint(170, 255) for _ in range(3))
    canvas = Image.new("RGBA", image.size, ground)
    image = Image.alpha_composite(canvas, image).convert("RGB")
    if rng.random() < 0.3:
        small = rng.randint(64, 160)
        image = image.resize((small, small), Image.BICUBIC).resize((SHORTEST_EDGE,) * 2, Image.BICUBIC)
    return image


def changed(svg, rng):
    """One changed copy of a drawing in colour: four in five become outlines first."""
    way = rng.choice(("moved", "stroked", "stroked", "edges", "edges"))
    if way == "moved":
        return moved(render(svg), rng)
    return moved({"stroked": stroked, "edges": edges}[way](svg, rng), rng)


def seeded(*key):
    return random.Random("/".join(str(part) for part in key))
