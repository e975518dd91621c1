"""Pictograms -> training pictures: placed, turned, scaled, recoloured and redrawn on coloured backgrounds, a whole
batch at a time.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# name in English, names in Chinese, hue (degrees), saturation and lightness ranges
COLOURS = (
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
PALE, DEEP = (1, 2, 4, 7, 10, 11), (0, 3, 5, 6, 8, 9)  # what stands out behind dark and behind light drawings
LIGHTNESS = torch.tensor([0.299, 0.587, 0.114])
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


@dataclass(frozen=True)
class Scene:
    """What a batch of pictures shows: `thing` and `second` (-1: none) places in things.tsv, `background` and `tint`
    places in COLOURS (-1: none), `size` the share of the edge that the thing takes; all (batch,).
    """

    pictures: Tensor  # (batch, 3, edge, edge), 0 to 1
    thing: Tensor
    second: Tensor
    background: Tensor
    tint: Tensor
    size: Tensor


class Stage:
    """Holds the pictograms in memory and paints batches of them."""

    def __init__(self, pixels: Tensor, thing: Tensor, *, seed: int, redraw: bool = True) -> None:
        self.pixels, self.thing, self.redraw = pixels, thing, redraw
        self.random = torch.Generator().manual_seed(seed)
        self.difficulty = 1.0  # 0: large, upright, as drawn; 1: everything below at full strength

    def paint(self, chosen: Tensor) -> Scene:
        """One picture for each chosen pictogram (places in `pixels`)."""
        batch = len(chosen)
        size = self._uniform(batch, 0.85 - 0.4 * self.difficulty, 1.0)
        drawing = _premultiplied(self.pixels[chosen])
        tint = torch.where(self._rarely(batch, 0.15), self._whole(batch, len(COLOURS)), torch.tensor(-1))
        drawing = _changed(drawing, tint >= 0, lambda part: self._tinted(part, tint[tint >= 0]))
        if self.redraw:
            drawing = self._redrawn(drawing, tint < 0)
        light = _lightness(drawing)
        drawing = self._placed(drawing, size)
        canvas, background = self._backdrop(tint, light)
        pictures = _over(drawing, canvas)
        shown = self._rarely(batch, 0.12)
        second = self._whole(batch, len(self.pixels))
        pictures = _changed(pictures, shown, lambda part: self._joined(part, second[shown]))
        if self.redraw:
            pictures = self._photographed(pictures)
        second = torch.where(shown, self.thing[second], torch.tensor(-1))
        return Scene(pictures.clamp(0, 1), self.thing[chosen], second, background, tint, size)

    def _redrawn(self, drawing: Tensor, free: Tensor) -> Tensor:
        """Other hands: shifted hues, outlines, few flat colours, line drawings, greys, light on dark."""
        batch = len(drawing)
        turned = free & self._rarely(batch, 0.4)
        drawing = _changed(drawing, turned, lambda part: _hue_turned(part, self._uniform(len(part), -0.12, 0.12)))
        drawing = _changed(drawing, self._rarely(batch, 0.12), _flat_coloured)
        drawing = _changed(drawing, self._rarely(batch, 0.22), _outlined)
        drawing = _changed(drawing, free & self._rarely(batch, 0.08), _line_drawing)
        drawing = _changed(drawing, free & self._rarely(batch, 0.06), _grey)
        return _changed(drawing, free & self._rarely(batch, 0.06), _negative)

    def _joined(self, pictures: Tensor, second: Tensor) -> Tensor:
        """A second, smaller thing in a corner."""
        small = _premultiplied(self.pixels[second])
        return _over(self._placed(small, self._uniform(len(small), 0.3, 0.45), corner=True), pictures)

    def _tinted(self, drawing: Tensor, tint: Tensor) -> Tensor:
        colour = self._shades(tint)[:, :, None, None]
        alpha = drawing[:, 3:]
        shade = (drawing[:, :3].mean(1, keepdim=True) / alpha.clamp(min=1e-3)).clamp(0, 1)
        painted = torch.where(shade < 0.5, colour * (0.35 + 1.3 * shade), colour + (1 - colour) * (shade - 0.5) * 0.9)
        return torch.cat([painted * alpha, alpha], 1)

    def _placed(self, drawing: Tensor, size: Tensor, *, corner: bool = False) -> Tensor:
        batch = len(drawing)
        turn = self._uniform(batch, -0.35, 0.35) * self._rarely(batch, 0.7)
        stretch = self._uniform(batch, 0.8, 1.25) ** self._rarely(batch, 0.5)
        flip = torch.where(self._chance(batch, 0.5), -1.0, 1.0)
        free = (1.08 - size).clamp(min=0.02)
        shift = [self._uniform(batch, -1, 1) * free for _ in range(2)]
        if corner:
            shift = [(0.45 + 0.2 * self._uniform(batch, 0, 1)) * value.sign() for value in shift]
        scale_x, scale_y = 1 / (size * stretch), stretch / size
        cosine, sine = turn.cos(), turn.sin()
        matrix = torch.stack(
            [
                torch.stack([flip * scale_x * cosine, -flip * scale_x * sine, torch.zeros(batch)], 1),
                torch.stack([scale_y * sine, scale_y * cosine, torch.zeros(batch)], 1),
            ],
            1,
        )
        matrix[:, :, 2] = -(matrix[:, :, :2] @ torch.stack(shift, 1)[:, :, None])[:, :, 0]
        grid = F.affine_grid(matrix, list(drawing.shape), align_corners=False)
        return F.grid_sample(drawing, grid, align_corners=False)

    def _backdrop(self, tint: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
        """A plain, shaded or patterned backdrop that the drawing stands out from. A patterned one has no colour name
        (-1).
        """
        batch, edge = len(tint), self.pixels.shape[-1]
        background = self._whole(batch, len(COLOURS))
        base = self._shades(background)
        again = (background == tint) | ((base @ LIGHTNESS - light).abs() < 0.15)
        for row in again.nonzero()[:, 0].tolist():
            shades = PALE if light[row] < 0.5 else DEEP
            background[row] = shades[int(self._whole(1, len(shades)))]
        base = torch.where(again[:, None], self._shades(background), base)[:, :, None, None]
        slope = torch.linspace(-0.5, 0.5, edge)
        across, down = (self._uniform(batch, -0.25, 0.25).view(-1, 1, 1, 1) for _ in range(2))
        ramp = slope.view(1, 1, 1, -1) * across + slope.view(1, 1, -1, 1) * down
        canvas = base + ramp * self._chance(batch, 0.4).view(-1, 1, 1, 1)
        patterned = self._rarely(batch, 0.1)
        canvas = _changed(canvas, patterned, self._pattern)
        return canvas.clamp(0, 1), torch.where(patterned, torch.tensor(-1), background)

    def _pattern(self, canvas: Tensor) -> Tensor:
        blobs = torch.rand(len(canvas), 3, 5, 5, generator=self.random)
        return F.interpolate(blobs, size=canvas.shape[-2:], mode="bicubic", align_corners=False)

    def _photographed(self, pictures: Tensor) -> Tensor:
        batch = len(pictures)
        contrast = self._uniform(batch, 0.75, 1.2).view(-1, 1, 1, 1)
        light = self._uniform(batch, -0.06, 0.06).view(-1, 1, 1, 1)
        pictures = (pictures - 0.5) * contrast + 0.5 + light
        pictures = _changed(pictures, self._chance(batch, 0.3), _blurred)
        return _changed(pictures, self._chance(batch, 0.2), self._grained)

    def _grained(self, pictures: Tensor) -> Tensor:
        return pictures + torch.randn(pictures.shape, generator=self.random) * 0.03

    def _shades(self, colour: Tensor) -> Tensor:
        rows = []
        for place, (a, b, c) in zip(
            colour.tolist(), torch.rand(len(colour), 3, generator=self.random).tolist(), strict=True
        ):
            _, _, hue, saturation, lightness = COLOURS[place]
            pick = [
                low + (high - low) * part
                for (low, high), part in zip((hue, lightness, saturation), (a, b, c), strict=True)
            ]
            rows.append(colorsys.hls_to_rgb((pick[0] / 360) % 1, pick[1], pick[2]))
        return torch.tensor(rows)

    def _uniform(self, batch: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=self.random)

    def _whole(self, batch: int, bound: int) -> Tensor:
        return torch.randint(bound, (batch,), generator=self.random)

    def _rarely(self, batch: int, share: float) -> Tensor:
        return self._chance(batch, share * self.difficulty)

    def _chance(self, batch: int, share: float) -> Tensor:
        return torch.rand(batch, generator=self.random) < share


def normalised(pictures: Tensor) -> Tensor:
    """0 to 1 -> what the vision tower is given (the mean and deviation of preprocessor_config.json)."""
    return (pictures - MEAN) / DEVIATION


def _premultiplied(pixels: Tensor) -> Tensor:
    drawing = pixels.float() / 255
    return torch.cat([drawing[:, :3] * drawing[:, 3:], drawing[:, 3:]], 1)


def _over(top: Tensor, bottom: Tensor) -> Tensor:
    return top[:, :3] + bottom * (1 - top[:, 3:])


def _changed(pictures: Tensor, where: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change only the chosen rows: most changes are rare, and doing them to all would cost more than a step."""
    if where.any():
        pictures = pictures.clone()
        pictures[where] = change(pictures[where])
    return pictures


def _lightness(drawing: Tensor) -> Tensor:
    """(batch,) mean lightness of what is drawn, 0 to 1."""
    colour = drawing[:, :3].sum((2, 3)) / drawing[:, 3:].sum((2, 3)).clamp(min=1)
    return colour @ LIGHTNESS


def _blurred(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _grey(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1), drawing[:, 3:]], 1)


def _negative(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, 3:] - drawing[:, :3], drawing[:, 3:]], 1)


def _hue_turned(drawing: Tensor, turn: Tensor) -> Tensor:
    """Turn colours about the grey axis by `turn` full circles (Rodrigues' formula)."""
    angle = (turn * 2 * torch.pi).view(-1, 1, 1)
    third, root = 1 / 3, (1 / 3) ** 0.5
    same = torch.full((3, 3), third)
    cross = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    matrix = angle.cos() * torch.eye(3) + (1 - angle.cos()) * same + angle.sin() * cross
    colour = torch.einsum("bij,bjhw->bihw", matrix, drawing[:, :3])
    return torch.cat([torch.minimum(colour.clamp(min=0), drawing[:, 3:]), drawing[:, 3:]], 1)


def _edges(drawing: Tensor) -> Tensor:
    """(batch, 1, edge, edge), 1 along outlines and strong inner lines, two to three pixels wide."""
    wide = F.max_pool2d(drawing, 3, 1, 1)
    narrow = -F.max_pool2d(-drawing, 3, 1, 1)
    return ((wide - narrow).amax(1, keepdim=True) * 2.2 - 0.5).clamp(0, 1)


def _outlined(drawing: Tensor) -> Tensor:
    line = _edges(drawing)
    return torch.cat([drawing[:, :3] * (1 - line), torch.maximum(drawing[:, 3:], line)], 1)


def _line_drawing(drawing: Tensor) -> Tensor:
    line = _edges(drawing)
    return torch.cat([line * 0.1, line], 1).expand(-1, 2, -1, -1)[:, [0, 0, 0, 1]]


def _flat_coloured(drawing: Tensor) -> Tensor:
    alpha = drawing[:, 3:]
    colour = F.avg_pool2d(drawing[:, :3], 5, 1, 2) / F.avg_pool2d(alpha, 5, 1, 2).clamp(min=1e-3)
    return torch.cat([(colour * 3).round() / 3 * alpha, alpha], 1)
