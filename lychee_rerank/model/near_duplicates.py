"""Which images are nearly the same: resized, recompressed or slightly brighter copies, and the closest of a burst."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from lychee_rerank.model.vision_tower import ImageFeatures

_CELLS = 7  # a side, of 2 x 2 tokens each in a Qwen2.5-VL's 14 x 14
# Squared differences, as a share of the mean squared norm: of all cells on average (a cosine of 0.95), and of any one.
_MAX_DIFFERENCE, _MAX_CELL_DIFFERENCE = 0.1, 0.4
_MAX_ASPECT = 1.1  # ratio of two aspect ratios: fit="whole" rounds sides to whole tokens


def group_near_duplicates(features: Sequence[ImageFeatures]) -> tuple[tuple[int, ...], ...]:
    """Groups of two or more alike, as positions in `features`, in order. Within a group every pair is alike.

    An image's tokens are averaged over 7 x 7 cells, less the mean cell of all images, without which unrelated images
    resemble each other too. Two images are alike if their cells are on average, and none differs much, so that a change
    in one corner counts.

    The limits were set with altered copies of 28 drawings and 11 photos in the demo checkpoint's vision tower (4 x 4
    tokens an image) and two random ones (14 x 14); they were not measured with the weights of the 7B. Copies are alike:
    half to one and a half times as wide, JPEG at quality 60, 5% more or less light (27 or 28 drawings, 11 photos). As
    in a burst, those shifted by 1% or cropped by 3% are in 23 to 28 drawings, and in 2 to 7 photos. Of other images, a
    hue turned by 30 degrees is in 4 to 7 and 0 to 7, an object of a fifth put in in 1 to 12 and 0 to 8; another
    background or half the light in none. Textures and pages of text are alike more easily.
    """
    if len(features) < 2:
        return ()
    alike = _alike(features).tolist()
    groups: list[list[int]] = []
    for position, row in enumerate(alike):
        group = next((group for group in groups if all(row[member] for member in group)), None)
        if group is None:
            groups.append([position])
        else:
            group.append(position)
    return tuple(tuple(group) for group in groups if len(group) > 1)


@torch.inference_mode()
def _alike(features: Sequence[ImageFeatures]) -> Tensor:
    """(images, images), true where two images are alike."""
    cells = torch.stack([_cells(each) for each in features], 1)  # (cells, images, hidden)
    cells -= cells.mean((0, 1))
    # Cells near the mean, such as plain background, differ by little more than noise: they are held to the median.
    floor = cells.square().sum(-1).median()
    aspect = torch.tensor([each.grid[0, 2] / each.grid[0, 1] for each in features])
    alike = (aspect[:, None] <= _MAX_ASPECT * aspect) & (aspect <= _MAX_ASPECT * aspect[:, None])
    total = torch.zeros(alike.shape)
    for cell in cells:
        rows = (alike.sum(1) > 1).nonzero()[:, 0]  # few, from the second cell on
        pairs = rows[:, None], rows
        difference = _difference(cell[rows], floor)
        total[pairs] += difference
        alike[pairs] &= (difference <= _MAX_CELL_DIFFERENCE) & (total[pairs] <= _MAX_DIFFERENCE * len(cells))
    return alike


def _difference(cell: Tensor, floor: Tensor) -> Tensor:
    """(images, images) of one cell of each image, (images, hidden); 1 is half of that between unrelated ones."""
    energy = cell.square().sum(-1)
    mean_energy = (energy[:, None] + energy) / 2
    return 2 * (mean_energy - cell @ cell.T) / mean_energy.clamp_min(floor)


def _cells(features: ImageFeatures) -> Tensor:
    """(cells, hidden), the mean token of each cell."""
    _, height, width = features.grid[0].tolist()
    return _averaging(height, width, len(features.tokens)) @ features.tokens.float()


@cache
def _averaging(height: int, width: int, count: int) -> Tensor:
    """(cells, count), the weights of `count` tokens in the mean of each cell; they cover `height` x `width` patches."""
    merge = round((height * width / count) ** 0.5)
    tokens = torch.eye(count).view(count, height // merge, width // merge)
    return torch.nn.functional.adaptive_avg_pool2d(tokens, _CELLS).flatten(1).T
