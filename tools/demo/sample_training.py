"""The shipped sample images as training scenes: the checkpoint has to get them right, so it may know them. docs/demo.md
says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lychee_rerank import load_image
from tools.demo.batch_random import BatchRandom
from tools.demo.colors import COLORS, DOMINANT_SHARE, absent_colors, color_shares
from tools.demo.network import EDGE, SIDE
from tools.demo.pictograms import Thing, draw
from tools.demo.samples import CREDITS, FOLDER, SAMPLES
from tools.demo.scenes import Scene, premultiply


@dataclass(frozen=True)
class Placement:
    """One pictogram of a sample: `share` of the shorter side, center (x, y) as shares of width and height."""

    thing: str
    style: str
    share: float
    x: float
    y: float


def sample_scenes(things: list[Thing]) -> Scene:
    """Every sample in the order of SAMPLES; of two things, the larger one is `thing`."""
    index = {thing.english[0]: number for number, thing in enumerate(things)}
    drawings = {(row.thing, row.style): row.pixels for row in reversed(draw(tuple(CREDITS)))}
    scenes = []
    for name, (size, background, pictograms) in SAMPLES.items():
        first, *rest = sorted((Placement(*row) for row in pictograms), key=lambda placement: -placement.share)
        own_color, absent = _colors(drawings[index[first.thing], first.style])
        second_coverage = _token_coverage(size, rest[0]) if rest else torch.zeros(SIDE * SIDE)
        scene = Scene(
            images=_load(name),
            thing=torch.tensor(index[first.thing]),
            second=torch.tensor(index[rest[0].thing] if rest else -1),
            background=torch.tensor([row[0] for row in COLORS].index(background)),
            tint=own_color,
            size=torch.tensor(first.share),
            absent_colors=absent,
            thing_coverage=_token_coverage(size, first) * (1 - second_coverage),
            second_coverage=second_coverage,
        )
        scenes.append(scene[None])
    return Scene.concat(scenes)


def augment_samples(images: Tensor, random: BatchRandom) -> Tensor:
    """(batch, 3, edge, edge): slightly moved, scaled, mirrored, brightened and noisy."""
    batch = len(images)
    flip = torch.where(random.uniform(batch, 0, 1) < 0.3, -1.0, 1.0)
    scale, zero = random.uniform(batch, 0.85, 1.12), torch.zeros(batch)
    rows = [
        torch.stack([flip * scale, zero, random.uniform(batch, -0.1, 0.1)], 1),
        torch.stack([zero, scale, random.uniform(batch, -0.1, 0.1)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = random.uniform(batch, 0.85, 1.1).view(-1, 1, 1, 1)
    images = (images - 0.5) * contrast + 0.5 + random.uniform(batch, -0.04, 0.04).view(-1, 1, 1, 1)
    return (images + 0.015 * random.randn(*images.shape)).clamp(0, 1)


def _colors(pixels: np.ndarray) -> tuple[Tensor, Tensor]:
    """(own color or -1, (colors,) that the drawing surely lacks) of (edge, edge, 4) pixels."""
    shares = color_shares(premultiply(torch.tensor(pixels).permute(2, 0, 1)[None]))
    largest, own = shares.max(1)
    own = torch.where(largest >= DOMINANT_SHARE, own, -1)
    return own[0], absent_colors(shares, own)[0]


def _load(name: str) -> Tensor:
    """(3, edge, edge): the middle square, as the app loads it."""
    image = load_image(FOLDER / f"{name.replace(' ', '-')}.jpg").image
    resized = image.resize((392, 392), Image.Resampling.BICUBIC).resize((EDGE, EDGE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).float() / 255


def _token_coverage(size: tuple[int, int], placement: Placement) -> Tensor:
    """(16,): the share of each image token's area in the pictogram's box, after the middle square is cropped."""
    shorter, token = min(size), torch.arange(SIDE)
    overlaps = []
    for length, middle in zip(size, (placement.x, placement.y), strict=True):
        center = (length * middle - (length - shorter) / 2) / shorter
        low, high = (center - 0.42 * placement.share) * SIDE, (center + 0.42 * placement.share) * SIDE
        overlaps.append((torch.clamp(token + 1, max=high) - torch.clamp(token, min=low)).clamp(min=0))
    return (overlaps[1][:, None] * overlaps[0][None]).flatten()
