"""Files by scanners, cameras, scientific software and Windows, and their expected RGB.

If Pillow reads a kind correctly, its result is the reference. Otherwise the reference is computed from the written pixels.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from formats import ORIENTATION, oriented, over_white, read_back
from golden import GOLDEN, folder, photograph, write_tensors

WIDTH, HEIGHT = 46, 31  # not a multiple of any block
FORMATS = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}


def tiff(tags, chunks, size=(WIDTH, HEIGHT), order="<", big=False, tiled=False, lengths=True):
    """A file with `tags` (number: (kind, values)) and its strips or tiles."""
    offset = "Q" if big else "I"
    head = 16 if big else 8
    places, at = [], head
    for chunk in chunks:
        places.append(at)
        at += len(chunk)
    long = 16 if big else 4
    entries = {256: (4, [size[0]]), 257: (4, [size[1]]), 259: (3, [1]), 277: (3, [1])}
    if not tiled:
        entries[278] = (4, [-(-size[1] // len(chunks))])
    entries |= tags
    entries[324 if tiled else 273] = (long, places)
    if lengths:
        entries[325 if tiled else 279] = (4, [len(chunk) for chunk in chunks])
    body = b"".join(chunks)
    extra, directory = b"", b""
    behind = head + len(body)
    inline = 8 if big else 4
    for tag in sorted(entries):
        kind, values = entries[tag]
        raw = b"".join(struct.pack(order + FORMATS[kind], *(value if kind == 5 else [value])) for value in values)
        directory += struct.pack(order + "HH" + offset, tag, kind, len(values))
        if len(raw) <= inline:
            directory += raw.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + offset, behind + len(extra))
            extra += raw
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    start = behind + len(extra)
    mark = b"II" if order == "<" else b"MM"
    header = mark + (struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HI", 42, start))
    return header + body + extra + count + directory + struct.pack(order + offset, 0)


def bits(samples, depth, interleaved=1):
    """Packs rows of samples of `depth` bits. Each row starts at a byte."""
    rows = samples.reshape(len(samples), -1)
    out = b""
    for row in rows:
        text = "".join(format(int(value), f"0{depth}b") for value in row)
        text = text.ljust(-(-len(text) // 8) * 8, "0")
        out += int(text, 2).to_bytes(len(text) // 8, "big")
    return out


def strips(data, rows=8):
    """Splits the rows of an array into strips."""
    return [data[top:top + rows] for top in range(0, len(data), rows)]


def difference(samples):
    """Each sample minus the previous one in its row."""
    out = samples.copy()
    out[:, 1:] -= samples[:, :-1]
    return out


def tiles(samples, side=16):
    height, width = samples.shape[:2]
    padded = np.pad(samples, [(0, -height % side), (0, -width % side)] + [(0, 0)] * (samples.ndim - 2))
    return [
        padded[top:top + side, left:left + side]
        for top in range(0, padded.shape[0], side)
        for left in range(0, padded.shape[1], side)
    ]


def grouped(ycbcr, across, down):
    """Luminances of a group of pixels, then the colour difference that they share."""
    height, width = ycbcr.shape[:2]
    padded = np.pad(ycbcr, [(0, -height % down), (0, -width % across), (0, 0)], mode="edge").astype(int)
    out, shared = b"", padded.copy()
    for top in range(0, padded.shape[0], down):
        for left in range(0, padded.shape[1], across):
            group = padded[top:top + down, left:left + across]
            colour = group[..., 1:].mean(axis=(0, 1)).round().astype(int)
            shared[top:top + down, left:left + across, 1:] = colour
            out += bytes(group[..., 0].reshape(-1).tolist()) + bytes(colour.tolist())
    return out, shared[:height, :width]


def rgb_of(ycbcr):
    y, cb, cr = (ycbcr[..., n].astype(float) for n in range(3))
    cb, cr = cb - 128, cr - 128
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.stack([red, green, blue], axis=-1).round().clip(0, 255).astype(np.uint8)


def grey_rgb(levels):
    return np.repeat(np.asarray(levels).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def over(colour, alpha):
    share = alpha.astype(float)[..., None] / 255
    return (colour * share + 255 * (1 - share)).round().astype(np.uint8)


def float_predicted(values):
    """The bytes of a row's floats, sorted by significance, each minus the previous one."""
    rows = []
    for row in values.astype(">f4"):
        sorted_bytes = np.frombuffer(row.tobytes(), np.uint8).reshape(len(row), 4).T.reshape(-1)
        rows.append(np.concatenate([sorted_bytes[:1], np.diff(sorted_bytes)]).astype(np.uint8).tobytes())
    return rows


def bmp(pixels, header, compression=0, masks=b"", depth=32, palette=b"", top_down=False):
    """`header` is the size of the header: 12 (OS/2), 40, 108 or 124."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, depth)
    else:
        height = -HEIGHT if top_down else HEIGHT
        info = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, depth, compression, len(pixels), 2835, 2835, 0, 0)
        if header > 40:
            info = (info + masks + b"BGRs").ljust(header, b"\0")
        else:
            info += masks
    at = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + info + palette + pixels


def bmp_rows(samples):
    """Rows from the bottom, each padded to four bytes."""
    rows = [row.tobytes() for row in samples[::-1]]
    return b"".join(row.ljust(-(-len(row) // 4) * 4, b"\0") for row in rows)


def rle8(indexed):
    out = b""
    for row in indexed[::-1]:
        for value in row:
            out += bytes([1, value])
        out += b"\0\0"
    return out + b"\0\1"


def jpegs(image, expected, path):
    def jpeg(name, picture=image, cut=-2, behind=b"", **options):
        data = io.BytesIO()
        picture.save(data, "JPEG", **options)
        whole = data.getvalue()
        assert whole.endswith(b"\xFF\xD9")
        (path / name).write_bytes(whole[:cut] + behind if cut else whole + behind)
        with Image.open(io.BytesIO(whole)) as read:
            expected[name] = np.asarray(read.convert("RGB"))

    trailer = b"\0\0\x01\x0a\x0e\0\0\0Panorama_Shot_Info" + bytes(range(1, 200)) * 20 + b"SEFHk\0\0\0SEFT"
    # Contains JPEG markers, as if a manufacturer had appended a second image.
    second = io.BytesIO()
    image.resize((20, 16)).save(second, "JPEG")
    jpeg("no-end.jpg", quality=90)
    jpeg("no-end-trailer.jpg", quality=90, behind=trailer)
    jpeg("end-trailer.jpg", quality=90, cut=None, behind=trailer)
    jpeg("end-second-image.jpg", quality=90, cut=None, behind=second.getvalue())
    jpeg("no-end-progressive.jpg", quality=90, progressive=True)
    jpeg("no-end-progressive-trailer.jpg", quality=90, progressive=True, behind=trailer)
    jpeg("no-end-grey.jpg", image.convert("L"), quality=90)
    jpeg("no-end-restarts.jpg", quality=90, restart_marker_blocks=2)
    jpeg("half-an-end.jpg", quality=90, cut=-1)
    jpeg("no-end-inks.jpg", image.convert("CMYK"), quality=90)


def bmps(image, rgba, expected, path):
    rgb = np.asarray(image)
    bgrx = np.dstack([rgb[..., ::-1], np.zeros((HEIGHT, WIDTH), np.uint8)])
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for header in (108, 124):
        (path / f"alpha-nothing-{header}.bmp").write_bytes(bmp(bmp_rows(bgrx), header, 3, masks))
        expected[f"alpha-nothing-{header}.bmp"] = rgb
    (path / "top-down.bmp").write_bytes(bmp(bgrx.tobytes(), 40, top_down=True))
    expected["top-down.bmp"] = rgb
    with_alpha = np.asarray(rgba)
    stored = with_alpha[..., [2, 1, 0, 3]]
    (path / "alpha.bmp").write_bytes(bmp(bmp_rows(np.ascontiguousarray(stored)), 124, 3, masks))
    expected["alpha.bmp"] = over_white(rgba)
    five = (rgb >> 3).astype(np.uint16)
    packed = five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]
    (path / "five-five-five.bmp").write_bytes(bmp(bmp_rows(packed), 40, depth=16))
    expected["five-five-five.bmp"] = (five * 255.0 / 31).round().astype(np.uint8)
    six = rgb[..., 1].astype(np.uint16) >> 2
    packed = five[..., 0] << 11 | six << 5 | five[..., 2]
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    (path / "five-six-five.bmp").write_bytes(bmp(bmp_rows(packed), 40, 3, masks, depth=16))
    expected["five-six-five.bmp"] = np.stack([five[..., 0] * 255.0 / 31, six * 255.0 / 63, five[..., 2] * 255.0 / 31], axis=-1).round().astype(np.uint8)
    indexed = image.quantize(60)
    colours = np.array(indexed.getpalette()[:180]).reshape(-1, 3)
    colours = np.vstack([colours, np.zeros((256 - len(colours), 3))]).astype(np.uint8)
    four = np.hstack([colours[:, ::-1], np.zeros((256, 1), np.uint8)]).tobytes()
    numbers = np.asarray(indexed)
    (path / "rle8.bmp").write_bytes(bmp(rle8(numbers), 40, 1, depth=8, palette=four))
    (path / "os2.bmp").write_bytes(bmp(bmp_rows(numbers), 12, depth=8, palette=np.ascontiguousarray(colours[:, ::-1]).tobytes()))
    expected["rle8.bmp"] = expected["os2.bmp"] = colours[numbers]


def prefixed(image, expected, path):
    """EXIF with JPEG's prefix, in other formats."""
    plain = oriented(image, 6)
    prefix = b"Exif\0\0"
    metadata = plain if plain.startswith(prefix) else prefix + plain
    turned = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    data = io.BytesIO()
    image.save(data, "WEBP", lossless=True)
    pixels = data.getvalue()[12:]
    size = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    chunk = lambda kind, body: kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    body = b"WEBP" + chunk(b"VP8X", b"\x08\0\0\0" + size) + pixels + chunk(b"EXIF", metadata)
    (path / "exif-prefix.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(image))
    part = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = part(b"IHDR", header) + part(b"eXIf", metadata) + part(b"IDAT", zlib.compress(rows, 9)) + part(b"IEND", b"")
    (path / "exif-prefix.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    expected["exif-prefix.webp"] = expected["exif-prefix.png"] = turned


def tiffs(rng, image, expected, path):
    rgb = np.asarray(image)
    grey = np.asarray(image.convert("L"))
    alpha = np.linspace(0, 255, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8)
    deep = (rgb.astype(np.int64) * 257 + rng.integers(-100, 100, rgb.shape)).clip(0, 65535).astype(np.uint16)
    shallow = np.round(deep / 257).astype(np.uint8)
    size = {258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3])}

    def keep(name, data, meant):
        (path / f"{name}.tiff").write_bytes(data)
        expected[f"{name}.tiff"] = meant

    def of_pillow(name, picture, meant=None, **options):
        picture.save(path / f"{name}.tiff", **options)
        expected[f"{name}.tiff"] = read_back(path / f"{name}.tiff") if meant is None else meant

    # Grey.
    one = {258: (3, [8]), 262: (3, [1])}
    keep("grey", tiff(one, [grey.tobytes()]), grey_rgb(grey))
    keep("white-is-zero", tiff(one | {262: (3, [0])}, [grey.tobytes()]), grey_rgb(255 - grey))
    for depth in (1, 2, 4, 12):
        most = 2**depth - 1
        reduced = (grey.astype(int) * most / 255).round().astype(int)
        keep(f"grey-{depth}-bits", tiff({258: (3, [depth]), 262: (3, [1])}, [bits(reduced, depth)]), grey_rgb(reduced * 255 / most))
    for order, name in (("<", "little"), (">", "big")):
        keep(f"grey-16-{name}", tiff({258: (3, [16]), 262: (3, [1])}, [deep[..., 1].astype(order + "u2").tobytes()], order=order), grey_rgb(deep[..., 1] / 257))
        keep(f"grey-32-{name}", tiff({258: (3, [32]), 262: (3, [1])}, [(deep[..., 1].astype(np.uint64) * 65537).astype(order + "u4").tobytes()], order=order), grey_rgb(deep[..., 1] / 257))
    signed = (deep[..., 1] >> 1).astype(np.int16)
    signed[0, :5] = -300
    keep("grey-signed-16", tiff({258: (3, [16]), 262: (3, [1]), 339: (3, [2])}, [signed.astype("<i2").tobytes()]), grey_rgb(signed.clip(0) * 255.0 / 32767))
    pair = np.dstack([grey, alpha])
    two = {258: (3, [8, 8]), 262: (3, [1]), 277: (3, [2])}
    keep("grey-alpha", tiff(two | {338: (3, [2])}, [pair.tobytes()]), over(grey_rgb(grey), alpha))
    keep("grey-extra", tiff(two | {338: (3, [0])}, [pair.tobytes()]), grey_rgb(grey))
    keep("grey-alpha-planar", tiff(two | {338: (3, [2]), 284: (3, [2]), 278: (4, [HEIGHT])}, [grey.tobytes(), alpha.tobytes()]), over(grey_rgb(grey), alpha))

    # 8-bit values in wider samples.
    for depth, kind, signed in ((16, "u2", 1), (32, "u4", 1), (32, "i4", 2), (16, "i2", 2)):
        tags = {258: (3, [depth]), 262: (3, [1]), 339: (3, [signed])}
        keep(f"bytes-in-{kind}", tiff(tags, [grey.astype("<" + kind).tobytes()]), grey_rgb(grey))

    # Floats: white is 1, or 255 if a value exceeds 1.
    unit = grey / 255
    for depth, kind in ((16, "f2"), (32, "f4"), (64, "f8")):
        for order, name in (("<", "little"), (">", "big")):
            tags = {258: (3, [depth]), 262: (3, [1]), 339: (3, [3])}
            keep(f"float-{depth}-{name}", tiff(tags, [unit.astype(order + kind).tobytes()], order=order), grey_rgb(grey))
    float_tags = {258: (3, [32]), 262: (3, [1]), 339: (3, [3])}
    keep("float-255", tiff(float_tags, [grey.astype("<f4").tobytes()]), grey_rgb(grey))
    predicted = [zlib.compress(b"".join(part)) for part in strips(float_predicted(unit))]
    keep("float-predictor", tiff(float_tags | {259: (3, [8]), 317: (3, [3]), 278: (4, [8])}, predicted), grey_rgb(grey))
    keep("float-rgb", tiff({258: (3, [32] * 3), 262: (3, [2]), 277: (3, [3]), 339: (3, [3] * 3)}, [(rgb / 255).astype("<f4").tobytes()]), rgb)

    # Palettes.
    indexed = image.quantize(60)
    of_pillow("palette-lzw", indexed, compression="tiff_lzw")
    sixteen = image.quantize(16)
    colours = np.array(sixteen.getpalette()[:48]).reshape(-1, 3)
    table = (colours.T.astype(int) * 257).reshape(-1).tolist()
    keep("palette-4-bits", tiff({258: (3, [4]), 262: (3, [3]), 320: (3, table)}, [bits(np.asarray(sixteen), 4)]), colours[np.asarray(sixteen)].astype(np.uint8))
    table = colours.T.astype(int).reshape(-1).tolist()
    keep("palette-of-bytes", tiff({258: (3, [4]), 262: (3, [3]), 320: (3, table)}, [bits(np.asarray(sixteen), 4)]), colours[np.asarray(sixteen)].astype(np.uint8))

    palette_alpha = np.dstack([np.asarray(sixteen), alpha])
    table = np.vstack([colours, np.zeros((240, 3), int)]).T.reshape(-1) * 257
    pal = {258: (3, [8, 8]), 262: (3, [3]), 277: (3, [2]), 338: (3, [2]), 320: (3, table.tolist())}
    keep("palette-alpha", tiff(pal, [palette_alpha.tobytes()]), over(colours[np.asarray(sixteen)], alpha))

    # Colours.
    keep("big-tiff", tiff(size, strips_of(rgb), big=True), rgb)
    keep("big-tiff-big-endian", tiff(size | {258: (3, [16] * 3)}, [deep.astype(">u2").tobytes()], order=">", big=True), shallow)
    keep("planar", tiff(size | {284: (3, [2]), 278: (4, [HEIGHT])}, [rgb[..., n].tobytes() for n in range(3)]), rgb)
    keep("tiles", tiff(size | {322: (3, [16]), 323: (3, [16])}, [tile.tobytes() for tile in tiles(rgb)], tiled=True), rgb)
    planes = [zlib.compress(tile.tobytes()) for n in range(3) for tile in tiles(rgb[..., n])]
    keep("tiles-planar-deflate", tiff(size | {259: (3, [8]), 284: (3, [2]), 322: (3, [16]), 323: (3, [16])}, planes, tiled=True), rgb)
    keep("without-lengths", tiff(size, [rgb.tobytes()], lengths=False), rgb)
    keep("difference-16", tiff(size | {258: (3, [16] * 3), 259: (3, [8]), 317: (3, [2])}, [zlib.compress(difference(deep).astype(">u2").tobytes())], order=">"), shallow)
    # Long runs, so that a row ends within the run of a code.
    stripes = Image.fromarray(np.repeat((np.arange(HEIGHT) * 8 % 256).astype(np.uint8)[:, None], WIDTH, axis=1))
    of_pillow("lzw-runs", stripes, compression="tiff_lzw")
    of_pillow("lzw-runs-difference", stripes, compression="tiff_lzw", tiffinfo={317: 2})
    of_pillow("jpeg-grey-alpha", Image.merge("LA", (image.convert("L"), Image.fromarray(alpha))), compression="jpeg")
    for name in ("packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "jpeg"):
        of_pillow(f"rgb-{name}", image, compression=name)
    of_pillow("lzw-difference", image, compression="tiff_lzw", tiffinfo={317: 2})
    of_pillow("jpeg-grey", image.convert("L"), compression="jpeg")
    four = {258: (3, [8] * 4), 262: (3, [2]), 277: (3, [4])}
    rgba = np.dstack([rgb, alpha])
    times = (rgb.astype(float) * alpha[..., None] / 255).round().astype(np.uint8)
    keep("alpha", tiff(four | {338: (3, [2])}, [rgba.tobytes()]), over(rgb, alpha))
    keep("alpha-unsaid", tiff(four, [rgba.tobytes()]), over(rgb, alpha))
    keep("alpha-multiplied", tiff(four | {338: (3, [1])}, [np.dstack([times, alpha]).tobytes()]), over(rgb, alpha))
    keep("extra", tiff(four | {338: (3, [0])}, [rgba.tobytes()]), rgb)
    five = {258: (3, [8] * 5), 262: (3, [2]), 277: (3, [5]), 338: (3, [2, 0])}
    keep("alpha-and-extra", tiff(five, [np.dstack([rgba, grey]).tobytes()]), over(rgb, alpha))
    of_pillow("inks-lzw", image.convert("CMYK"), compression="tiff_lzw")

    # Luminance and colour difference.
    ycbcr = np.asarray(image.convert("YCbCr"))
    three = {258: (3, [8] * 3), 262: (3, [6]), 277: (3, [3])}
    keep("luminance", tiff(three | {530: (3, [1, 1])}, [ycbcr.tobytes()]), rgb_of(ycbcr))
    for across, down in ((2, 2), (2, 1), (4, 4)):
        data, shared = grouped(ycbcr, across, down)
        keep(f"luminance-{across}-{down}", tiff(three | {530: (3, [across, down])}, [data]), rgb_of(shared))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    old = tiff(three | {259: (3, [6]), 513: (4, [8]), 514: (4, [len(data.getvalue())])}, [data.getvalue()])
    keep("old-jpeg", old, np.asarray(Image.open(data).convert("RGB")))

    # Fax.
    page = image.convert("1")
    for name in ("group3", "group4", "tiff_ccitt"):
        of_pillow(f"fax-{name}", page, compression=name)
    of_pillow("fax-group3-2d", page, compression="group3", tiffinfo={292: 1})
    lines = Image.fromarray((np.indices((HEIGHT, WIDTH)).sum(axis=0) % 7 < 3).astype(np.uint8) * 255).convert("1")
    of_pillow("fax-lines", lines, compression="group4")
    of_pillow("fax-white", Image.new("1", (WIDTH, HEIGHT), 255), compression="group4")
    plain = bytearray((path / "fax-group4.tiff").read_bytes())
    with Image.open(io.BytesIO(plain)) as read:
        (at,), (length,) = read.tag_v2[273], read.tag_v2[279]
    data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in plain[at:at + length])
    fax = {258: (3, [1]), 262: (3, [read.tag_v2[262]]), 259: (3, [4]), 266: (3, [2])}
    keep("fax-low-bit-first", tiff(fax, [data]), expected["fax-group4.tiff"])
    keep("turned", tiff(size | {ORIENTATION: (3, [6])}, [rgb.tobytes()]), np.asarray(image.transpose(Image.Transpose.ROTATE_270)))


def strips_of(rgb):
    return [part.tobytes() for part in strips(rgb)]


def make():
    path = folder("kinds")
    rng = np.random.default_rng(7)
    image = Image.fromarray(photograph(rng, WIDTH, HEIGHT, noise=1))
    rgba = image.copy()
    rgba.putalpha(Image.fromarray(np.linspace(1, 255, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8)))
    expected = {}
    jpegs(image, expected, path)
    bmps(image, rgba, expected, path)
    prefixed(image, expected, path)
    tiffs(rng, image, expected, path)
    write_tensors(GOLDEN / "kinds.safetensors", {name: np.ascontiguousarray(value) for name, value in expected.items()})
