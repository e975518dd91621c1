"""Many files that decoders stumble over: all formats, modes and sizes that Pillow writes, whole, cut and altered."""

from __future__ import annotations

import random
from collections.abc import Iterator

from PIL import Image, ImageCms

from support.images import encode, patchwork

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I", "I;16", "I;16B", "F")
SIZES = ((1, 1), (1, 300), (257, 3), (40, 30))
WRITTEN = (
    "PNG JPEG WEBP BMP DIB GIF TIFF AVIF ICO JPEG2000 PPM QOI DDS PCX SGI MSP BLP SPIDER TGA XBM MPO HEIF"
).split()
OPTIONS: dict[str, list[dict[str, object]]] = {
    "JPEG": [{"progressive": True}, {"quality": 1}, {"subsampling": 0, "comment": b"\xff\xd8\xff"}],
    "TIFF": [{"compression": name} for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4")],
    "PNG": [{"bits": 2}, {"interlace": 1}, {"transparency": 0}],
    "WEBP": [{"lossless": True}, {"exact": True}],
    "GIF": [{"interlace": 0}, {"transparency": 3}],
    "TGA": [{"compression": "tga_rle"}, {"orientation": 1}],
    "JPEG2000": [{"irreversible": True}, {"no_jp2": True}],
    "DDS": [{"pixel_format": name} for name in ("DXT1", "DXT5", "BC5")],
}


def whole_files(sizes: tuple[tuple[int, int], ...] = SIZES) -> Iterator[tuple[str, bytes]]:
    """(what it is, its bytes) for everything that Pillow is able to write, the last size with unusual metadata."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in WRITTEN:
        metadata: list[dict[str, object]] = [{}, {"exif": exif}, {"icc_profile": profile}, {"exif": b"Exif\0\0junk"}]
        for mode in MODES:
            for size in sizes:
                image = in_mode(patchwork(len(mode) + size[0], *size), mode)
                for options in (*metadata, *OPTIONS.get(format, [])) if size == sizes[-1] else ({},):
                    try:
                        yield f"{format} {mode} {size} {list(options)}", encode(image, format, **options)
                    except Exception:
                        continue  # Pillow cannot write this mode in this format


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), lab, outputMode="LAB") or image
    if mode.startswith("I"):
        return image.convert("L").convert("I").point(lambda value: value * 257).convert(mode)
    if mode in ("PA", "LA"):
        return image.convert("P" if mode == "PA" else "L").convert(mode)
    return image.convert(mode)


def damaged(data: bytes, random: random.Random) -> bytes:
    """The file cut short, with altered bytes, with a part missing or doubled, or with something behind it."""
    position, length = random.randrange(len(data)), random.randrange(1, 40)
    kind = random.randrange(5)
    if kind == 0:
        return data[: max(1, position)]
    if kind == 1:
        return data[:position] + data[position + length :] or b"\0"
    if kind == 2:
        return data[:position] + data[max(0, position - length) :]
    if kind == 3:
        return data + random.randbytes(length)
    altered = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        altered[random.randrange(min(len(data), 200) if random.random() < 0.7 else len(data))] = random.randrange(256)
    return bytes(altered)
