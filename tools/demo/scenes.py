"""Pictograms become training images: moved, rotated, scaled, recolored and restyled on colored backgrounds, a whole
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
LUMA_WEIGHTS = torch.tensor([0.299, 0.587, 0.114])
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


@dataclass(frozen=True)
class Scene:
    """A batch of images and what they show, each (batch,): `thing` and `second` are indexes in things.tsv, `background`
    and `tint` in COLORS (-1: none), `size` the share of the edge that the thing takes.
    """

    images: Tensor  # (batch, 3, edge, edge), 0 to 1
    thing: Tensor
    second: Tensor
    background: Tensor
    tint: Tensor
    size: Tensor


class SceneRenderer:
    """Renders batches of images. `pixels` (n, 4, edge, edge) are uint8 RGBA, `thing` (n,) indexes in things.tsv."""

    def __init__(self, pixels: Tensor, thing: Tensor, *, seed: int, augment: bool = True) -> None:
        self.pixels, self.thing, self.augment = pixels, thing, augment
        self.random = torch.Generator().manual_seed(seed)
        self.difficulty = 1.0  # 0: large, upright, as drawn; 1: all augmentations at full probability

    def render(self, indexes: Tensor) -> Scene:
        """One image for each of the pictograms at `indexes` (batch,)."""
        batch = len(indexes)
        size = self._uniform(batch, 0.85 - 0.4 * self.difficulty, 1.0)
        drawing = _premultiply(self.pixels[indexes])
        tint = torch.where(self._scaled_bernoulli(batch, 0.15), self._randint(batch, len(COLORS)), torch.tensor(-1))
        drawing = _apply_where(drawing, tint >= 0, lambda part: self._tint(part, tint[tint >= 0]))
        if self.augment:
            drawing = self._stylize(drawing, tint < 0)
        light = _lightness(drawing)
        drawing = self._transform(drawing, size)
        canvas, background = self._background(tint, light)
        images = _composite(drawing, canvas)
        paired = self._scaled_bernoulli(batch, 0.12)
        second = self._randint(batch, len(self.pixels))
        images = _apply_where(images, paired, lambda part: self._add_second_thing(part, second[paired]))
        if self.augment:
            images = self._degrade(images)
        second = torch.where(paired, self.thing[second], torch.tensor(-1))
        return Scene(images.clamp(0, 1), self.thing[indexes], second, background, tint, size)

    def _stylize(self, drawing: Tensor, untinted: Tensor) -> Tensor:
        """Other drawing styles: shifted hues, flat colors, outlines, line drawings, grays, inverted."""
        batch = len(drawing)
        rotated = untinted & self._scaled_bernoulli(batch, 0.4)
        drawing = _apply_where(drawing, rotated, lambda part: _rotate_hue(part, self._uniform(len(part), -0.12, 0.12)))
        drawing = _apply_where(drawing, self._scaled_bernoulli(batch, 0.12), _posterize)
        drawing = _apply_where(drawing, self._scaled_bernoulli(batch, 0.22), _add_outline)
        drawing = _apply_where(drawing, untinted & self._scaled_bernoulli(batch, 0.08), _line_drawing)
        drawing = _apply_where(drawing, untinted & self._scaled_bernoulli(batch, 0.06), _to_gray)
        return _apply_where(drawing, untinted & self._scaled_bernoulli(batch, 0.06), _invert)

    def _add_second_thing(self, images: Tensor, second: Tensor) -> Tensor:
        """A second, smaller thing in a corner."""
        small = _premultiply(self.pixels[second])
        return _composite(self._transform(small, self._uniform(len(small), 0.3, 0.45), corner=True), images)

    def _tint(self, drawing: Tensor, tint: Tensor) -> Tensor:
        color = self._sample_colors(tint)[:, :, None, None]
        alpha = drawing[:, 3:]
        shade = (drawing[:, :3].mean(1, keepdim=True) / alpha.clamp(min=1e-3)).clamp(0, 1)
        painted = torch.where(shade < 0.5, color * (0.35 + 1.3 * shade), color + (1 - color) * (shade - 0.5) * 0.9)
        return torch.cat([painted * alpha, alpha], 1)

    def _transform(self, drawing: Tensor, size: Tensor, *, corner: bool = False) -> Tensor:
        batch = len(drawing)
        angle = self._uniform(batch, -0.35, 0.35) * self._scaled_bernoulli(batch, 0.7)
        stretch = self._uniform(batch, 0.8, 1.25) ** self._scaled_bernoulli(batch, 0.5)
        flip = torch.where(self._bernoulli(batch, 0.5), -1.0, 1.0)
        margin = (1.08 - size).clamp(min=0.02)
        shift = [self._uniform(batch, -1, 1) * margin for _ in range(2)]
        if corner:
            shift = [(0.45 + 0.2 * self._uniform(batch, 0, 1)) * value.sign() for value in shift]
        scale_x, scale_y = 1 / (size * stretch), stretch / size
        cosine, sine = angle.cos(), angle.sin()
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

    def _background(self, tint: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
        """(images, color indexes): plain, shaded or patterned backgrounds that the drawings stand out from. Patterned
        ones have no color (-1).
        """
        batch, edge = len(tint), self.pixels.shape[-1]
        background = self._randint(batch, len(COLORS))
        base = self._sample_colors(background)
        similar = (background == tint) | ((base @ LUMA_WEIGHTS - light).abs() < 0.15)
        for row in similar.nonzero()[:, 0].tolist():
            colors = LIGHT_COLORS if light[row] < 0.5 else DARK_COLORS
            background[row] = colors[int(self._randint(1, len(colors)))]
        base = torch.where(similar[:, None], self._sample_colors(background), base)[:, :, None, None]
        slope = torch.linspace(-0.5, 0.5, edge)
        across, down = (self._uniform(batch, -0.25, 0.25).view(-1, 1, 1, 1) for _ in range(2))
        ramp = slope.view(1, 1, 1, -1) * across + slope.view(1, 1, -1, 1) * down
        canvas = base + ramp * self._bernoulli(batch, 0.4).view(-1, 1, 1, 1)
        patterned = self._scaled_bernoulli(batch, 0.1)
        canvas = _apply_where(canvas, patterned, self._pattern)
        return canvas.clamp(0, 1), torch.where(patterned, torch.tensor(-1), background)

    def _pattern(self, canvas: Tensor) -> Tensor:
        blobs = torch.rand(len(canvas), 3, 5, 5, generator=self.random)
        return F.interpolate(blobs, size=canvas.shape[-2:], mode="bicubic", align_corners=False)

    def _degrade(self, images: Tensor) -> Tensor:
        batch = len(images)
        contrast = self._uniform(batch, 0.75, 1.2).view(-1, 1, 1, 1)
        light = self._uniform(batch, -0.06, 0.06).view(-1, 1, 1, 1)
        images = (images - 0.5) * contrast + 0.5 + light
        images = _apply_where(images, self._bernoulli(batch, 0.3), _blur)
        return _apply_where(images, self._bernoulli(batch, 0.2), self._add_noise)

    def _add_noise(self, images: Tensor) -> Tensor:
        return images + torch.randn(images.shape, generator=self.random) * 0.03

    def _sample_colors(self, color: Tensor) -> Tensor:
        """(batch, 3) RGB: one shade within the range of each color."""
        rows = []
        for index, parts in zip(color.tolist(), torch.rand(len(color), 3, generator=self.random).tolist(), strict=True):
            _, _, hue, saturation, lightness = COLORS[index]
            ranges = zip((hue, lightness, saturation), parts, strict=True)
            h, l, s = (low + (high - low) * part for (low, high), part in ranges)  # noqa: E741
            rows.append(colorsys.hls_to_rgb((h / 360) % 1, l, s))
        return torch.tensor(rows)

    def _uniform(self, batch: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=self.random)

    def _randint(self, batch: int, bound: int) -> Tensor:
        return torch.randint(bound, (batch,), generator=self.random)

    def _scaled_bernoulli(self, batch: int, probability: float) -> Tensor:
        return self._bernoulli(batch, probability * self.difficulty)

    def _bernoulli(self, batch: int, probability: float) -> Tensor:
        return torch.rand(batch, generator=self.random) < probability


def normalize(images: Tensor) -> Tensor:
    """Images from 0 to 1 as the vision tower reads them, by the mean and deviation of preprocessor_config.json."""
    return (images - MEAN) / STD


def _premultiply(pixels: Tensor) -> Tensor:
    drawing = pixels.float() / 255
    return torch.cat([drawing[:, :3] * drawing[:, 3:], drawing[:, 3:]], 1)


def _composite(top: Tensor, bottom: Tensor) -> Tensor:
    return top[:, :3] + bottom * (1 - top[:, 3:])


def _apply_where(images: Tensor, where: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Changes only the rows of `where`; changing all and selecting would take longer than a training step."""
    if where.any():
        images = images.clone()
        images[where] = change(images[where])
    return images


def _lightness(drawing: Tensor) -> Tensor:
    """(batch,) mean lightness of the drawing, 0 to 1."""
    color = drawing[:, :3].sum((2, 3)) / drawing[:, 3:].sum((2, 3)).clamp(min=1)
    return color @ LUMA_WEIGHTS


def _blur(images: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _to_gray(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1), drawing[:, 3:]], 1)


def _invert(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, 3:] - drawing[:, :3], drawing[:, 3:]], 1)


def _rotate_hue(drawing: Tensor, turn: Tensor) -> Tensor:
    """Rotate colors about the gray axis by `turn` full circles (Rodrigues' formula)."""
    angle = (turn * 2 * torch.pi).view(-1, 1, 1)
    third, root = 1 / 3, (1 / 3) ** 0.5
    same = torch.full((3, 3), third)
    cross = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    matrix = angle.cos() * torch.eye(3) + (1 - angle.cos()) * same + angle.sin() * cross
    color = torch.einsum("bij,bjhw->bihw", matrix, drawing[:, :3])
    return torch.cat([torch.minimum(color.clamp(min=0), drawing[:, 3:]), drawing[:, 3:]], 1)


def _edges(drawing: Tensor) -> Tensor:
    """(batch, 1, edge, edge), 1 along outlines and strong inner lines, two to three pixels wide."""
    wide = F.max_pool2d(drawing, 3, 1, 1)
    narrow = -F.max_pool2d(-drawing, 3, 1, 1)
    return ((wide - narrow).amax(1, keepdim=True) * 2.2 - 0.5).clamp(0, 1)


def _add_outline(drawing: Tensor) -> Tensor:
    line = _edges(drawing)
    return torch.cat([drawing[:, :3] * (1 - line), torch.maximum(drawing[:, 3:], line)], 1)


def _line_drawing(drawing: Tensor) -> Tensor:
    line = _edges(drawing)
    return torch.cat([line * 0.1, line], 1).expand(-1, 2, -1, -1)[:, [0, 0, 0, 1]]


def _posterize(drawing: Tensor) -> Tensor:
    alpha = drawing[:, 3:]
    color = F.avg_pool2d(drawing[:, :3], 5, 1, 2) / F.avg_pool2d(alpha, 5, 1, 2).clamp(min=1e-3)
    return torch.cat([(color * 3).round() / 3 * alpha, alpha], 1)
