"""Redraws pictograms in other styles, so that training sees more hands than the icon sets have.

Drawings are (batch, 4, edge, edge) premultiplied RGBA, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.demo.batch_random import BatchRandom


def stylize(drawing: Tensor, untinted: Tensor, strength: float, random: BatchRandom) -> Tensor:
    """Holes, shifted or mixed colors, few flat fills, outlines, line drawings, grays, inverted, each for some rows and
    more often with more `strength` (0 to 1). Rows whose color is asked about (not `untinted`) keep it.
    """
    batch = len(drawing)
    some = lambda share: random.bernoulli(batch, share * strength)  # noqa: E731
    drawing = apply_where(drawing, some(0.15), partial(_erase, random=random))
    drawing = apply_where(
        drawing, untinted & some(0.35), lambda part: _rotate_hue(part, random.uniform(len(part), -0.15, 0.15))
    )
    drawing = apply_where(drawing, untinted & some(0.12), partial(_mix_colors, random=random))
    drawing = apply_where(drawing, some(0.08), _posterize)
    drawing = apply_where(drawing, untinted & some(0.30), partial(_repaint, random=random))
    choice = random.rand(batch) / max(strength, 1e-3)
    for low, high, width in ((0.0, 0.12, 3), (0.12, 0.26, 5), (0.26, 0.31, 7)):
        outlined = (choice >= low) & (choice < high)
        drawing = apply_where(drawing, outlined, partial(_add_outline, width=width, random=random))
    lines = untinted & (choice >= 0.31) & (choice < 0.43)
    drawing = apply_where(drawing, lines, partial(_line_drawing, random=random))
    drawing = apply_where(drawing, untinted & some(0.06), _to_gray)
    return apply_where(drawing, untinted & some(0.05), _invert)


def apply_where(images: Tensor, where: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Changes only the rows of `where`; changing all and selecting would take longer than a training step."""
    if where.any():
        images = images.clone()
        images[where] = change(images[where])
    return images


def warp(drawing: Tensor, random: BatchRandom) -> Tensor:
    """Other proportions: a smooth random displacement."""
    batch, edge = len(drawing), drawing.shape[-1]
    strength = random.uniform(batch, 0, 0.12).view(-1, 1, 1, 1)
    noise = random.randn(batch, 2, 4, 4) * strength
    shift = F.interpolate(noise, size=(edge, edge), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    line = torch.linspace(-1, 1, edge)
    grid = torch.stack([line.view(1, -1).expand(edge, edge), line.view(-1, 1).expand(edge, edge)], -1)
    return F.grid_sample(drawing, grid[None] + shift, align_corners=True)


def add_shadow(drawing: Tensor, random: BatchRandom) -> Tensor:
    """A soft dark shadow at the bottom."""
    line = torch.linspace(0, 1, drawing.shape[-1])
    distance = ((line.view(1, -1) - 0.5) / 0.35) ** 2 + ((line.view(-1, 1) - 0.95) / 0.06) ** 2
    shadow = (0.5 * (1.6 - distance)).clamp(0, 1) * random.uniform(len(drawing), 0.15, 0.35).view(-1, 1, 1, 1)
    return torch.cat([drawing[:, :3], drawing[:, 3:] + shadow * (1 - drawing[:, 3:])], 1)


def _erase(drawing: Tensor, random: BatchRandom) -> Tensor:
    """Without one rectangle."""
    batch, edge = len(drawing), drawing.shape[-1]
    position, inside = torch.arange(edge).view(1, -1) / edge, []
    for _ in range(2):
        start, size = random.uniform(batch, 0, 0.8)[:, None], random.uniform(batch, 0.12, 0.37)[:, None]
        inside.append((position >= start) & (position < start + size))
    return drawing * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def _rotate_hue(drawing: Tensor, turn: Tensor) -> Tensor:
    """Rotate colors about the gray axis by `turn` full circles (Rodrigues' formula)."""
    angle = (turn * 2 * torch.pi).view(-1, 1, 1)
    third, root = 1 / 3, (1 / 3) ** 0.5
    same = torch.full((3, 3), third)
    cross = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    matrix = angle.cos() * torch.eye(3) + (1 - angle.cos()) * same + angle.sin() * cross
    color = torch.einsum("bij,bjhw->bihw", matrix, drawing[:, :3])
    return torch.cat([torch.minimum(color.clamp(min=0), drawing[:, 3:]), drawing[:, 3:]], 1)


def _mix_colors(drawing: Tensor, random: BatchRandom) -> Tensor:
    """Colors through a random mixing matrix."""
    batch, alpha = len(drawing), drawing[:, 3:]
    matrix = torch.eye(3) + 0.45 * random.randn(batch, 3, 3)
    shift = 0.2 * random.randn(batch, 3, 1, 1)
    mixed = torch.einsum("bij,bjhw->bihw", matrix, drawing[:, :3]) + shift * alpha
    return torch.cat([mixed.clamp(min=0).minimum(alpha), alpha], 1)


def _posterize(drawing: Tensor) -> Tensor:
    alpha = drawing[:, 3:]
    color = F.avg_pool2d(drawing[:, :3], 5, 1, 2) / F.avg_pool2d(alpha, 5, 1, 2).clamp(min=1e-3)
    return torch.cat([(color * 3).round() / 3 * alpha, alpha], 1)


def _repaint(drawing: Tensor, random: BatchRandom) -> Tensor:
    """A few flat fills: each pixel takes the nearest of some of the drawing's own colors, then those change."""
    batch, alpha, fills = len(drawing), drawing[:, 3:], 5
    flat = drawing.flatten(2)
    samples = random.multinomial(flat[:, 3] + 1e-4, fills)
    opacity = flat[:, 3].gather(1, samples).clamp(min=0.05)
    palette = (flat[:, :3].gather(2, samples[:, None].expand(-1, 3, -1)) / opacity[:, None]).transpose(1, 2)
    straight = flat[:, :3] / flat[:, 3:].clamp(min=0.05)
    nearest = torch.cdist(straight.transpose(1, 2), palette).argmin(2)
    noisy = palette + 0.15 * random.randn(batch, fills, 3)
    vivid, choice = 0.5 + (palette - 0.5) * 1.6, random.rand(batch, 1, 1)
    changed = torch.where(choice < 0.6, random.rand(batch, fills, 3), noisy)
    changed = torch.where(choice < 0.35, vivid, changed).clamp(0, 1)
    stays_ink = (palette.mean(2, keepdim=True) < 0.2) & (random.rand(batch, 1, 1) < 0.7)
    changed = torch.where(stays_ink, palette, changed)
    painted = changed.gather(1, nearest[:, :, None].expand(-1, -1, 3)).transpose(1, 2).unflatten(2, drawing.shape[2:])
    return torch.cat([painted * alpha, alpha], 1)


def _add_outline(drawing: Tensor, width: int, random: BatchRandom) -> Tensor:
    line = _edges(drawing, width)
    shade = random.uniform(len(drawing), 0, 0.2).view(-1, 1, 1, 1)
    return torch.cat([drawing[:, :3] * (1 - line) + shade * line, torch.maximum(drawing[:, 3:], line)], 1)


def _line_drawing(drawing: Tensor, random: BatchRandom) -> Tensor:
    """Hollow, or filled with white or one pale color."""
    batch = len(drawing)
    line = torch.where(random.rand(batch, 1, 1, 1) < 0.5, _edges(drawing, 3), _edges(drawing, 5))
    fill, choice = random.rand(batch, 3, 1, 1), random.rand(batch, 1, 1, 1)
    fill = torch.where(choice < 0.4, torch.ones_like(fill), 0.5 + 0.5 * fill)
    body = drawing[:, 3:] * (choice < 0.7).float()
    ink = random.rand(batch, 1, 1, 1) * 0.25
    return torch.cat([fill * body * (1 - line) + ink * line, torch.maximum(body, line)], 1)


def _edges(drawing: Tensor, width: int) -> Tensor:
    """(batch, 1, edge, edge), 1 along outlines and strong inner lines, about `width` pixels wide."""
    high = F.max_pool2d(drawing, width, 1, width // 2)
    low = -F.max_pool2d(-drawing, width, 1, width // 2)
    return ((high - low).amax(1, keepdim=True) * 2.2 - 0.5).clamp(0, 1)


def _to_gray(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1), drawing[:, 3:]], 1)


def _invert(drawing: Tensor) -> Tensor:
    return torch.cat([drawing[:, 3:] - drawing[:, :3], drawing[:, 3:]], 1)
