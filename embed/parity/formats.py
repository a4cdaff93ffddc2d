"""One small image in every format and variant, and its expected RGB."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from golden import GOLDEN, folder, photograph, write_tensors

WIDTH, HEIGHT = 44, 30
ORIENTATION = 0x0112


def png(pixels, colour_type, depth=16):
    """A PNG that Pillow cannot write: 16 bits with colour or alpha."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + pixels[row].astype(">u2").tobytes() for row in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def over_white(image):
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))


def read_back(path):
    """Pillow's result: first frame, upright, transparency over white."""
    with Image.open(path) as image:
        image.seek(0)
        upright = ImageOps.exif_transpose(image)
        if "A" in upright.getbands() or "transparency" in upright.info:
            return over_white(upright)
        return np.asarray(upright.convert("RGB"))


def oriented(image, tag):
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    return exif.tobytes()


def ycck(image):
    """A JPEG in YCCK: Pillow writes CMYK only, so its samples are Y, Cb, Cr and K, declared by Adobe's marker."""
    luma = np.asarray(image.convert("YCbCr")).astype(int)
    black = np.full(luma.shape[:2] + (1,), 40)
    stored = np.concatenate([luma, 255 - black], axis=2)
    return Image.fromarray((255 - stored).astype(np.uint8), mode="CMYK")  # Pillow inverts when it writes


def patch_adobe(path, transform):
    data = bytearray(path.read_bytes())
    marker = data.index(b"Adobe")
    data[marker + 11] = transform
    path.write_bytes(data)


def make():
    path = folder("formats")
    rng = np.random.default_rng(99)
    image = Image.fromarray(photograph(rng, WIDTH, HEIGHT, noise=1))
    second = Image.fromarray(photograph(rng, WIDTH, HEIGHT, noise=1))
    grey = image.convert("L")
    alpha = Image.fromarray(np.linspace(0, 255, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8))
    rgba = image.copy()
    rgba.putalpha(alpha)
    binary = rgba.copy()
    binary.putalpha(alpha.point(lambda value: 255 if value > 90 else 0))
    grey_alpha = Image.merge("LA", (grey, alpha))

    image.save(path / "rgb.jpg", quality=92, subsampling=0)
    image.save(path / "progressive.jpg", quality=92, progressive=True)
    image.save(path / "restart-intervals.jpg", quality=92, restart_marker_blocks=3)
    grey.save(path / "grey.jpg", quality=92)
    image.convert("CMYK").save(path / "cmyk.jpg", quality=92, subsampling=0)
    ycck(image).save(path / "ycck.jpg", quality=92, subsampling=0)
    patch_adobe(path / "ycck.jpg", 2)
    image.save(path / "keep-rgb.jpg", quality=92, keep_rgb=True)
    for tag in range(1, 9):
        image.save(path / f"orientation-{tag}.jpg", quality=92, subsampling=0, exif=oriented(image, tag))
    image.save(path / "orientation-6.png", exif=oriented(image, 6))
    image.save(path / "orientation-8.webp", lossless=True, exif=oriented(image, 8))
    image.save(path / "orientation-3.tiff", tiffinfo={ORIENTATION: 3})

    image.save(path / "rgb.png")
    grey.save(path / "grey.png")
    grey.convert("1").save(path / "one-bit.png")
    image.quantize(40).save(path / "palette.png")
    binary.quantize(40).save(path / "palette-alpha.png")
    image.quantize(12).save(path / "palette-4-bits.png", bits=4)
    rgba.save(path / "rgba.png")
    grey_alpha.save(path / "grey-alpha.png")
    image.save(path / "transparent-colour.png", transparency=image.getpixel((3, 3)))

    image.save(path / "lossy.webp", quality=90)
    image.save(path / "lossless.webp", lossless=True)
    rgba.save(path / "alpha.webp", quality=90, exact=True)
    rgba.save(path / "alpha-lossless.webp", lossless=True, exact=True)
    image.save(path / "animated.webp", save_all=True, append_images=[second], lossless=True, duration=100)

    image.quantize(60).save(path / "still.gif")
    image.quantize(60).save(path / "animated.gif", save_all=True, append_images=[second.quantize(60)], duration=100)
    binary.save(path / "transparent.gif")

    image.save(path / "rgb.bmp")
    image.quantize(60).save(path / "palette.bmp")
    grey.convert("1").save(path / "one-bit.bmp")

    image.save(path / "rgb.tiff")
    image.save(path / "lzw.tiff", compression="tiff_lzw")
    image.save(path / "deflate.tiff", compression="tiff_adobe_deflate")
    image.convert("CMYK").save(path / "cmyk.tiff")
    grey.save(path / "grey.tiff")
    grey.convert("1").save(path / "one-bit.tiff")
    rgba.save(path / "rgba.tiff")
    image.quantize(60).save(path / "palette.tiff")

    expected = {file.name: read_back(file) for file in sorted(path.iterdir()) if file.suffix != ".safetensors"}

    # 16 bits: Pillow truncates or clips some of these, so the reference is computed: value / 257.
    deep = np.minimum(np.asarray(image).astype(np.int64) * 257 + rng.integers(-100, 100, (HEIGHT, WIDTH, 3)), 65535).clip(0).astype(np.uint16)
    deep_alpha = np.asarray(alpha).astype(np.uint16) * 257
    (path / "rgb-16.png").write_bytes(png(deep, 2))
    (path / "grey-16.png").write_bytes(png(deep[..., 1], 0))
    (path / "rgba-16.png").write_bytes(png(np.dstack([deep, deep_alpha]), 6))
    (path / "grey-alpha-16.png").write_bytes(png(np.dstack([deep[..., 1], deep_alpha]), 4))
    Image.fromarray(deep[..., 1]).save(path / "grey-16.tiff")
    shallow = np.round(deep / 257)
    share = (deep_alpha / 65535)[..., None]
    over = np.round(deep / 257 * share + 255 * (1 - share))
    expected["rgb-16.png"] = shallow.astype(np.uint8)
    expected["grey-16.png"] = expected["grey-16.tiff"] = np.repeat(shallow[..., 1:2], 3, axis=2).astype(np.uint8)
    expected["rgba-16.png"] = over.astype(np.uint8)
    expected["grey-alpha-16.png"] = np.repeat(over[..., 1:2], 3, axis=2).astype(np.uint8)
    write_tensors(GOLDEN / "formats.safetensors", {name: value.copy() for name, value in expected.items()})
