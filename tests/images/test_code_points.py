"""Colors told by code points alone come out as the same picture does in sRGB."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from lychee_rerank.images.load import load_image
from support.images import encode, patchwork

register_heif_opener(thumbnails=False)
BT709, BT2020, P3 = 1, 9, 12
SRGB, PQ, HLG = 13, 16, 18
TO_XYZ = {  # ITU-R BT.709, BT.2020 and SMPTE RP 431 with the white of D65
    BT709: [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    BT2020: [[0.6369580, 0.1446169, 0.1688810], [0.2627002, 0.6779981, 0.0593017], [0.0, 0.0280727, 1.0609851]],
    P3: [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]],
}


def stored(image: Image.Image, primaries: int, transfer: int) -> Image.Image:
    """The same picture with other primaries and transfer function."""
    v = np.asarray(image) / 255.0
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ np.array(TO_XYZ[BT709]).T @ np.linalg.inv(TO_XYZ[primaries]).T, 0, None)
    if transfer == PQ:
        y = (light * 203 / 10_000) ** 0.1593017578125
        v = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    elif transfer == HLG:
        display = light * 203 / 1000
        luminance = display @ np.array([0.2627, 0.6780, 0.0593])
        scene = display * np.maximum(luminance, 1e-6)[..., None] ** (1 / 1.2 - 1)
        v = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073,
        )
    else:
        v = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return Image.fromarray((np.clip(v, 0, 1) * 255 + 0.5).astype(np.uint8))


def tagged(image: Image.Image, format: str, primaries: int, transfer: int) -> bytes:
    if format == "HEIF":
        names = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 0}
        return encode(image, "HEIF", quality=-1, chroma=444, full_range_flag=1, **names)
    if format == "AVIF":
        data = encode(image, "AVIF", quality=100, subsampling="4:4:4")
        position = data.index(b"colrnclx") + 8
        return data[:position] + struct.pack(">HH", primaries, transfer) + data[position + 4 :]
    data, body = encode(image), b"cICP" + bytes([primaries, transfer, 0, 1])
    position = data.index(b"IDAT") - 4
    return data[:position] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + data[position:]


@pytest.mark.parametrize("format", ["HEIF", "AVIF", "PNG"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "note"),
    [
        (BT709, SRGB, ()),
        (P3, SRGB, ()),
        (BT2020, SRGB, ()),
        (BT2020, PQ, ("hdr_converted",)),
        (BT2020, HLG, ("hdr_converted",)),
    ],
)
def test_the_picture_looks_as_in_srgb(format: str, primaries: int, transfer: int, note: tuple[str, ...]) -> None:
    image = patchwork(1, 384, 384).point(lambda value: 40 + value * 180 // 255)  # without the brightest tones
    loaded = load_image(tagged(stored(image, primaries, transfer), format, primaries, transfer))
    assert loaded.error is None
    assert loaded.notes == (() if transfer == SRGB else ("hdr_converted",))
    difference = np.abs(np.asarray(loaded.image, dtype=int) - np.asarray(image, dtype=int))
    assert difference.mean() < (3 if transfer == SRGB else 5)


def test_brighter_than_white_keeps_its_order() -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3)))
    for transfer in (PQ, HLG):
        gray = np.asarray(load_image(tagged(ramp, "PNG", BT2020, transfer)).image.convert("L"), dtype=int)[200]
        assert (np.diff(gray) >= 0).all()
        assert gray[5] < 5
        assert gray[-5] > 245


def test_a_picture_in_srgb_is_untouched() -> None:
    image = ImageOps.fit(patchwork(1), (384, 384))
    plain = load_image(encode(image))
    assert load_image(tagged(image, "PNG", BT709, SRGB)).image.tobytes() == plain.image.tobytes()


def test_large_pictures_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tagged(patchwork(1, 300, 200), "PNG", P3, SRGB)
    at_once = load_image(data).image.tobytes()
    monkeypatch.setattr("lychee_rerank.images.code_points._STRIP_PIXELS", 300 * 7)
    assert load_image(data).image.tobytes() == at_once
