"""The colors of backgrounds and things: their names, their ranges, and which of them a drawing has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# name in English, names in Chinese, hue (degrees), saturation and lightness ranges
COLORS = (
    ("red", ("红色",), (-8, 8), (0.65, 1.0), (0.38, 0.58)),
    ("orange", ("橙色", "橘色"), (20, 36), (0.8, 1.0), (0.48, 0.6)),
    ("yellow", ("黄色",), (48, 60), (0.75, 1.0), (0.5, 0.7)),
    ("green", ("绿色",), (95, 150), (0.4, 0.95), (0.28, 0.6)),
    ("cyan", ("青色",), (172, 188), (0.6, 1.0), (0.4, 0.62)),
    ("blue", ("蓝色",), (205, 238), (0.55, 1.0), (0.35, 0.68)),
    ("purple", ("紫色",), (264, 290), (0.4, 0.95), (0.35, 0.62)),
    ("pink", ("粉色", "粉红色"), (318, 345), (0.6, 1.0), (0.68, 0.84)),
    ("brown", ("棕色", "褐色"), (18, 32), (0.4, 0.7), (0.22, 0.36)),
    ("black", ("黑色",), (0, 360), (0.0, 0.1), (0.0, 0.12)),
    ("white", ("白色",), (0, 360), (0.0, 0.1), (0.95, 1.0)),
    ("gray", ("灰色",), (0, 360), (0.0, 0.08), (0.45, 0.7)),
)
LIGHT_COLORS, DARK_COLORS = (1, 2, 4, 7, 10, 11), (0, 3, 5, 6, 8, 9)  # backgrounds of dark and of light drawings
DOMINANT_SHARE = 0.55  # from this share of its pixels on, a drawing is said to have a color
_SIMILAR_PAIRS = ((0, 1), (0, 7), (0, 8), (1, 2), (1, 8), (3, 4), (4, 5), (5, 6), (6, 7), (9, 11), (10, 11))


def _similar_colors() -> Tensor:
    similar = torch.zeros(len(COLORS), len(COLORS), dtype=torch.bool)
    for first, second in _SIMILAR_PAIRS:
        similar[first, second] = similar[second, first] = True
    return similar


SIMILAR_COLORS = _similar_colors()  # (colors, colors): which people may take for one another


def color_shares(drawing: Tensor) -> Tensor:
    """(batch, 4, edge, edge) premultiplied RGBA -> (batch, colors): the share of the drawing that has each color. Pale
    and intermediate shades count for none.
    """
    small = F.avg_pool2d(drawing, 4).flatten(2)
    alpha = small[:, 3]
    color = _classify_colors((small[:, :3] / alpha[:, None].clamp(min=1e-3)).clamp(0, 1))
    opaque = (alpha > 0.5).float()
    shares = [((color == index) * opaque).sum(1) for index in range(len(COLORS))]
    return torch.stack(shares, 1) / (alpha > 0.2).sum(1).clamp(min=1)[:, None]


def absent_colors(shares: Tensor, own: Tensor) -> Tensor:
    """(batch, colors): the colors that a drawing with these `shares` and its `own` color (batch,) surely lacks; none
    where it has no color of its own (-1).
    """
    return (shares < 0.03) & ~SIMILAR_COLORS[own.clamp(min=0)] & (own >= 0)[:, None]


def _classify_colors(rgb: Tensor) -> Tensor:
    """(batch, 3, n) -> (batch, n) indexes in COLORS, -1 for none; the first range that fits counts."""
    high, low = rgb.amax(1), rgb.amin(1)
    chroma, light, hue = high - low, (high + low) / 2, _hue(rgb)
    neutral, vivid, colorful = chroma < 0.1, chroma > 0.25, chroma > 0.15
    ranges = (
        (9, high < 0.2),
        (10, neutral & (low > 0.88)),
        (11, neutral & (light > 0.35) & (light < 0.78)),
        (0, vivid & ((hue < 12) | (hue > 346)) & (light < 0.66) & (light > 0.25)),
        (1, vivid & (hue > 16) & (hue < 41) & (high > 0.8)),
        (8, colorful & (hue > 10) & (hue < 42) & (high > 0.25) & (high < 0.68)),
        (2, vivid & (hue > 43) & (hue < 66) & (high > 0.75)),
        (3, vivid & (hue > 72) & (hue < 163) & (high > 0.25)),
        (4, vivid & (hue > 168) & (hue < 194)),
        (5, vivid & (hue > 199) & (hue < 248)),
        (6, vivid & (hue > 255) & (hue < 298)),
        (7, colorful & ((hue > 305) | (hue < 10)) & (light > 0.7)),
        (7, vivid & (hue > 308) & (hue < 344) & (high > 0.7)),
    )
    color = torch.full_like(hue, -1.0)
    for index, is_color in ranges:
        color = torch.where(is_color & (color < 0), float(index), color)
    return color


def _hue(rgb: Tensor) -> Tensor:
    """(batch, 3, n) -> (batch, n) hue in degrees."""
    red, green, blue = rgb.unbind(1)
    high, chroma = rgb.amax(1), (rgb.amax(1) - rgb.amin(1)).clamp(min=1e-3)
    from_green, from_blue = 2 + (blue - red) / chroma, 4 + (red - green) / chroma
    from_red = ((green - blue) / chroma) % 6
    return 60 * torch.where(high == red, from_red, torch.where(high == green, from_green, from_blue))
