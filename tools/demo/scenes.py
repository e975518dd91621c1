"""Pictograms become training images: moved, rotated, scaled, recolored and restyled on colored backgrounds, alone or in
pairs, a whole batch at a time.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.demo.batch_random import BatchRandom
from tools.demo.colors import COLORS, DARK_COLORS, DOMINANT_SHARE, LIGHT_COLORS, absent_colors, color_shares
from tools.demo.drawing_styles import add_shadow, apply_where, stylize, warp

TOKEN_EDGE = 28  # pixels a side that one image token stands for
LUMA_WEIGHTS = torch.tensor([0.299, 0.587, 0.114])
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


@dataclass(frozen=True)
class Scene:
    """A batch of images and what they show: `thing` and `second` are indexes in things.tsv, `background` and `tint`
    (the thing's own color) in COLORS (-1: none, or more than one), `size` the share of the edge that the thing takes.
    """

    images: Tensor  # (batch, 3, edge, edge), 0 to 1
    thing: Tensor  # (batch,), as are the next four
    second: Tensor
    background: Tensor
    tint: Tensor
    size: Tensor
    absent_colors: Tensor  # (batch, colors), true where the thing surely has nothing of the color
    thing_coverage: Tensor  # (batch, 16), the share of each image token's area that the thing takes
    second_coverage: Tensor  # (batch, 16), the same for the second thing

    def __getitem__(self, rows: Tensor | None) -> Scene:
        """The scenes at `rows`; None adds the batch dimension to a single one."""
        return self._map(lambda column: column[rows])

    def to(self, device: torch.device) -> Scene:
        return self._map(lambda column: column.to(device))

    @classmethod
    def concat(cls, scenes: list[Scene]) -> Scene:
        return cls(*(torch.cat([getattr(scene, field.name) for scene in scenes]) for field in fields(cls)))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Scene:
        return Scene(*(change(getattr(self, field.name)) for field in fields(self)))


class SceneRenderer:
    """Renders batches of images. `pixels` (n, 4, edge, edge) are uint8 RGBA, `thing` (n,) indexes in things.tsv."""

    def __init__(self, pixels: Tensor, thing: Tensor, *, seed: int, augment: bool = True) -> None:
        self.pixels, self.thing, self.augment = pixels, thing, augment
        self.random = BatchRandom(seed)
        self.difficulty = 1.0  # of the placement; 0: large, upright, alone; 1: everything at full probability
        self.style_difficulty = 1.0  # the same for the restyling
        self.tint_probability = 0.15  # of one color all over

    def render(self, indexes: Tensor, second: Tensor | None = None) -> Scene:
        """One image for each of the pictograms at `indexes` (batch,). Some show a second one: those at `second`
        (batch,; -1: none), or by default random ones in random images.
        """
        batch, random = len(indexes), self.random
        size = random.uniform(batch, 0.85 - 0.4 * self.difficulty, 1.0)
        drawing, tint = self._draw(indexes)
        shares, light = color_shares(drawing), _lightness(drawing)
        own_color = _own_color(drawing, shares, tint)
        paired = self._scaled_bernoulli(batch, 0.18) if second is None else second >= 0
        side_by_side = paired & random.bernoulli(batch, 0.5 if second is None else 0.75)  # the second one as large
        size = torch.where(side_by_side, random.uniform(batch, 0.45, 0.7), size)
        side = torch.where(random.bernoulli(batch, 0.5), -1.0, 1.0) * side_by_side
        drawing = self._transform(drawing, size, side)
        canvas, background = self._background(tint, light)
        images, coverage = _composite(drawing, canvas), _token_coverage(drawing)
        other = random.multinomial(self._second_weight, batch)
        other = other if second is None else torch.where(paired, second, other)
        second_coverage = torch.zeros_like(coverage)
        if paired.any():
            images[paired], second_coverage[paired] = self._add_second_thing(
                images[paired], other[paired], side[paired]
            )
        if self.augment:
            images = self._degrade(images)
        return Scene(
            images=images.clamp(0, 1),
            thing=self.thing[indexes],
            second=torch.where(paired, self.thing[other], torch.tensor(-1)),
            background=background,
            tint=own_color,
            size=size,
            absent_colors=absent_colors(shares, own_color),
            thing_coverage=coverage * (1 - second_coverage),
            second_coverage=second_coverage,
        )

    @cached_property
    def _second_weight(self) -> Tensor:
        """(n,): every thing equally often as the second one, however many drawings it has."""
        return 1.0 / self.thing.bincount(minlength=int(self.thing.max()) + 1)[self.thing].float()

    def _draw(self, indexes: Tensor) -> tuple[Tensor, Tensor]:
        """(drawings, tints): the pictograms, some in one color all over (index in COLORS, else -1), and restyled."""
        batch = len(indexes)
        drawing = premultiply(self.pixels[indexes])
        tinted = self.random.bernoulli(batch, self.tint_probability)
        tint = torch.where(tinted, self.random.randint(batch, len(COLORS)), torch.tensor(-1))
        drawing = apply_where(drawing, tint >= 0, lambda part: self._tint(part, tint[tint >= 0]))
        if self.augment:
            drawing = stylize(drawing, tint < 0, self.style_difficulty, self.random)
        return drawing, tint

    def _add_second_thing(self, images: Tensor, second: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """(images, coverage): a second thing, smaller in a corner or as large on the other side."""
        corner, batch = side == 0, len(second)
        large, small = self.random.uniform(batch, 0.45, 0.7), self.random.uniform(batch, 0.3, 0.5)
        size = torch.where(corner, small, large)
        drawing = self._place(premultiply(self.pixels[second]), size, -side, corner)
        return _composite(drawing, images), _token_coverage(drawing)

    def _tint(self, drawing: Tensor, tint: Tensor) -> Tensor:
        color = self._sample_colors(tint)[:, :, None, None]
        alpha = drawing[:, 3:]
        shade = (drawing[:, :3].mean(1, keepdim=True) / alpha.clamp(min=1e-3)).clamp(0, 1)
        painted = torch.where(shade < 0.5, color * (0.35 + 1.3 * shade), color + (1 - color) * (shade - 0.5) * 0.9)
        return torch.cat([painted * alpha, alpha], 1)

    def _transform(self, drawing: Tensor, size: Tensor, side: Tensor) -> Tensor:
        """Warped, shadowed, turned, stretched, mirrored and moved; to a `side` (-1 left, 1 right) where it is not 0."""
        batch = len(drawing)
        if self.augment:
            warped = self.random.bernoulli(batch, 0.5 * self.style_difficulty)
            drawing = apply_where(drawing, warped, partial(warp, random=self.random))
            drawing = apply_where(drawing, self.random.bernoulli(batch, 0.3), partial(add_shadow, random=self.random))
        return self._place(drawing, size, side)

    def _place(self, drawing: Tensor, size: Tensor, side: Tensor, corner: Tensor | None = None) -> Tensor:
        """Turned, stretched, mirrored and moved: to a `side`, into a `corner` where that is true, or anywhere."""
        batch, random = len(drawing), self.random
        angle = random.uniform(batch, -0.35, 0.35) * self._scaled_bernoulli(batch, 0.7)
        stretch = random.uniform(batch, 0.8, 1.25) ** self._scaled_bernoulli(batch, 0.5)
        flip = torch.where(random.bernoulli(batch, 0.5), -1.0, 1.0)
        margin = (1.08 - size).clamp(min=0.02)
        shift = [random.uniform(batch, -1, 1) * margin for _ in range(2)]
        if corner is not None:
            shift = [
                torch.where(corner, (0.45 + 0.2 * random.uniform(batch, 0, 1)) * value.sign(), value) for value in shift
            ]
        shift[0] = torch.where(side == 0, shift[0], side * random.uniform(batch, 0.35, 0.5))
        return _affine(drawing, angle, flip / (size * stretch), stretch / size, torch.stack(shift, 1))

    def _background(self, tint: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
        """(images, color indexes): plain, shaded or patterned backgrounds that the drawings stand out from. Patterned
        ones have no color (-1).
        """
        batch, edge = len(tint), self.pixels.shape[-1]
        background = self.random.randint(batch, len(COLORS))
        base = self._sample_colors(background)
        similar = (background == tint) | ((base @ LUMA_WEIGHTS - light).abs() < 0.15)
        for row in similar.nonzero()[:, 0].tolist():
            colors = LIGHT_COLORS if light[row] < 0.5 else DARK_COLORS
            background[row] = colors[int(self.random.randint(1, len(colors)))]
        base = torch.where(similar[:, None], self._sample_colors(background), base)[:, :, None, None]
        slope = torch.linspace(-0.5, 0.5, edge)
        across, down = (self.random.uniform(batch, -0.25, 0.25).view(-1, 1, 1, 1) for _ in range(2))
        ramp = slope.view(1, 1, 1, -1) * across + slope.view(1, 1, -1, 1) * down
        canvas = base + ramp * self.random.bernoulli(batch, 0.4).view(-1, 1, 1, 1)
        patterned = self._scaled_bernoulli(batch, 0.1)
        canvas = apply_where(canvas, patterned, self._pattern)
        return canvas.clamp(0, 1), torch.where(patterned, torch.tensor(-1), background)

    def _pattern(self, canvas: Tensor) -> Tensor:
        blobs = self.random.rand(len(canvas), 3, 5, 5)
        return F.interpolate(blobs, size=canvas.shape[-2:], mode="bicubic", align_corners=False)

    def _degrade(self, images: Tensor) -> Tensor:
        batch = len(images)
        contrast = self.random.uniform(batch, 0.75, 1.2).view(-1, 1, 1, 1)
        light = self.random.uniform(batch, -0.06, 0.06).view(-1, 1, 1, 1)
        images = (images - 0.5) * contrast + 0.5 + light
        images = apply_where(images, self.random.bernoulli(batch, 0.3), _blur)
        return apply_where(images, self.random.bernoulli(batch, 0.2), self._add_noise)

    def _add_noise(self, images: Tensor) -> Tensor:
        return images + self.random.randn(*images.shape) * 0.03

    def _sample_colors(self, color: Tensor) -> Tensor:
        """(batch, 3) RGB: one shade within the range of each color."""
        rows = []
        for index, parts in zip(color.tolist(), self.random.rand(len(color), 3).tolist(), strict=True):
            _, _, hue, saturation, lightness = COLORS[index]
            ranges = zip((hue, lightness, saturation), parts, strict=True)
            h, l, s = (low + (high - low) * part for (low, high), part in ranges)  # noqa: E741
            rows.append(colorsys.hls_to_rgb((h / 360) % 1, l, s))
        return torch.tensor(rows)

    def _scaled_bernoulli(self, batch: int, probability: float) -> Tensor:
        return self.random.bernoulli(batch, probability * self.difficulty)


def normalize(images: Tensor) -> Tensor:
    """Images from 0 to 1 as the vision tower reads them, by the mean and deviation of preprocessor_config.json."""
    return (images - MEAN) / STD


def premultiply(pixels: Tensor) -> Tensor:
    """uint8 RGBA with straight alpha -> premultiplied, 0 to 1."""
    drawing = pixels.float() / 255
    return torch.cat([drawing[:, :3] * drawing[:, 3:], drawing[:, 3:]], 1)


def _composite(top: Tensor, bottom: Tensor) -> Tensor:
    return top[:, :3] + bottom * (1 - top[:, 3:])


def _token_coverage(drawing: Tensor) -> Tensor:
    return F.avg_pool2d(drawing[:, 3:], TOKEN_EDGE).flatten(1)


def _own_color(drawing: Tensor, shares: Tensor, tint: Tensor) -> Tensor:
    """(batch,): the tint, else the dominant color, else -1; nobody names the color of a line drawing."""
    largest, solid = shares.max(1), drawing[:, 3].mean((1, 2)) > 0.3
    dominant = torch.where((largest.values >= DOMINANT_SHARE) & solid, largest.indices, -1)
    return torch.where(tint >= 0, tint, dominant)


def _affine(drawing: Tensor, angle: Tensor, scale_x: Tensor, scale_y: Tensor, shift: Tensor) -> Tensor:
    """Turned by `angle`, scaled by the inverse of the scales, moved by `shift` (batch, 2), in halves of the edge."""
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    matrix = torch.stack(
        [
            torch.stack([scale_x * cosine, -scale_x * sine, zero], 1),
            torch.stack([scale_y * sine, scale_y * cosine, zero], 1),
        ],
        1,
    )
    matrix[:, :, 2] = -(matrix[:, :, :2] @ shift[:, :, None])[:, :, 0]
    grid = F.affine_grid(matrix, list(drawing.shape), align_corners=False)
    return F.grid_sample(drawing, grid, align_corners=False)


def _lightness(drawing: Tensor) -> Tensor:
    """(batch,) mean lightness of the drawing, 0 to 1."""
    color = drawing[:, :3].sum((2, 3)) / drawing[:, 3:].sum((2, 3)).clamp(min=1)
    return color @ LUMA_WEIGHTS


def _blur(images: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
