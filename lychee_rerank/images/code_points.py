"""Colors told by code points (ITU-T H.273: "nclx" in HEIC and AVIF, "cICP" in PNG) instead of an ICC profile."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PQ, _HLG = 16, 18
_STRIP_PIXELS = 1_000_000  # 24 MB of numbers at each step
_WHITE_NITS = 203.0  # diffuse white of HDR pictures, ITU-R BT.2408
_TO_SRGB = {  # linear RGB to linear sRGB, by color primaries: ITU-R BT.2020, Display P3
    9: ((1.660491, -0.587641, -0.07285), (-0.12455, 1.1329, -0.008349), (-0.018151, -0.100579, 1.11873)),
    12: ((1.22494, -0.22494, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}


@dataclass(frozen=True)
class CodePoints:
    primaries: int
    transfer: int


def read_code_points(image: Image.Image, data: bytes) -> CodePoints | None:
    """What the file says about its colors besides a profile; None where it says nothing."""
    if image.format == "PNG":
        position = data.find(b"cICP", 0, max(data.find(b"IDAT"), 0))
        return CodePoints(data[position + 4], data[position + 5]) if position > 0 else None
    if nclx := image.info.get("nclx_profile"):  # HEIF
        return CodePoints(nclx["color_primaries"], nclx["transfer_characteristics"])
    position = data.find(b"colrnclx") if image.format == "AVIF" else -1  # which Pillow does not pass on
    return CodePoints(*struct.unpack_from(">HH", data, position + 8)) if 0 <= position <= len(data) - 12 else None


def to_srgb(rgb: Image.Image, colors: CodePoints) -> tuple[Image.Image, str | None]:
    """RGB pixels as sRGB, and a note where highlights had to be compressed for that."""
    hdr = colors.transfer in (_PQ, _HLG)
    if not hdr and colors.primaries not in _TO_SRGB:
        return rgb, None
    result, rows = Image.new("RGB", rgb.size), max(1, _STRIP_PIXELS // rgb.width)
    for top in range(0, rgb.height, rows):
        box = (0, top, rgb.width, min(top + rows, rgb.height))
        result.paste(_strip_to_srgb(rgb.crop(box), colors), box)
    return result, "hdr_converted" if hdr else None


def _strip_to_srgb(rgb: Image.Image, colors: CodePoints) -> Image.Image:
    import numpy as np  # which adds warning filters when it is imported

    light = _linear(colors.transfer)[np.asarray(rgb)]
    if colors.transfer == _HLG:  # a display of 1000 nits brightens the scene's light by its luminance
        luminance = light @ np.array([0.2627, 0.6780, 0.0593])
        light = light * (luminance[..., None] ** 0.2) * (1000 / _WHITE_NITS)
    if colors.primaries in _TO_SRGB:
        light = light @ np.array(_TO_SRGB[colors.primaries]).T
    if colors.transfer in (_PQ, _HLG):  # highlights are brighter than white
        light = np.where(light > 0.75, 1 - 0.25 * np.exp(-(light - 0.75) / 0.25), light)
    return Image.fromarray(encode_srgb(light))


def encode_srgb(light: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear light, 1 for white, as sRGB of 8 bits (IEC 61966-2-1)."""
    import numpy as np

    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (values * 255 + 0.5).astype(np.uint8)


def _linear(transfer: int) -> NDArray[np.float64]:
    """Light for each of the 256 values: 1 is diffuse white; for HLG, the scene's light from 0 to 1."""
    import numpy as np

    v = np.arange(256) / 255
    if transfer == _PQ:  # SMPTE ST 2084
        root = v ** (1 / 78.84375)
        linear = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return linear * (10_000 / _WHITE_NITS)
    if transfer == _HLG:  # ITU-R BT.2100
        return np.where(v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
