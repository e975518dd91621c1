"""Image -> features: the image processor and the vision tower, with what depends only on the grid computed once.

A grid is an image's number of patches in time (always 1), height and width. transformers computes positions and windows
for every image, and attends window by window. Here they are cached by grid, and a block attends in one call, under a
mask that keeps the windows apart: the same features with a tenth of the kernel launches.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import fetch_image
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from lychee_rerank.errors import ModelError
from lychee_rerank.weights.families import find_family

_CACHED_GRIDS = 64  # a grid's mask takes half a megabyte; fit="whole" brings a few dozen grids
# "flash" in the name makes transformers hand over the window boundaries instead of splitting the sequence itself.
_ATTENTION = "flash_masked_windows"


@dataclass(frozen=True)
class ImageFeatures:
    """What the vision tower computes from one image that takes n tokens in a prompt.

    tokens: (n, hidden), the embeddings of the image tokens.
    deepstack: one (n, hidden) for each of the first decoder blocks, added to the image tokens after that block
        (DeepStack, arXiv 2406.04334, in Qwen3-VL); empty for Qwen2.5-VL.
    grid: (1, 3), patches in time, height and width; on the CPU.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...]
    grid: Tensor

    @property
    def nbytes(self) -> int:
        return self.tokens.nbytes + sum(tensor.nbytes for tensor in self.deepstack)

    def to(self, device: str) -> ImageFeatures:
        return ImageFeatures(self.tokens.to(device), tuple(tensor.to(device) for tensor in self.deepstack), self.grid)


class VisionTower:
    """Computes the features of one image at a time."""

    def __init__(self, model: PreTrainedModel, image_processor: Any) -> None:
        family = find_family([type(model).__name__])
        if family is None:
            raise ModelError(f"{type(model).__name__} is not of a supported model family.")
        self._tower = model.model.visual
        self._processor = image_processor
        self._config = model.config.vision_config
        self._family_grid_kwargs = _GRID_KWARGS[family.vision]
        self._grid_kwargs = functools.lru_cache(maxsize=_CACHED_GRIDS)(self._compute_grid_kwargs)
        self.patches_per_token = self._config.spatial_merge_size**2
        AttentionInterface.register(_ATTENTION, windowed_attention)
        model.set_attn_implementation({"vision_config": _ATTENTION})

    def __call__(self, image: Image.Image) -> ImageFeatures:
        resized = fetch_image({"image": image}, image_patch_size=self._config.patch_size)
        inputs = self._processor(images=[resized], return_tensors="pt")
        grid = inputs["image_grid_thw"].cpu()
        weight = self._tower.patch_embed.proj.weight
        pixels = _to_device(inputs["pixel_values"].to(weight.dtype), weight.device)
        output = self._tower(pixels, grid_thw=grid, **self._grid_kwargs(tuple(grid[0].tolist())))
        return ImageFeatures(output.pooler_output, tuple(getattr(output, "deepstack_features", ())), grid)

    def _compute_grid_kwargs(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        """What the tower's forward takes for a grid; it computes what it is not given."""
        grid, device = torch.tensor([shape]), self._tower.patch_embed.proj.weight.device
        return {
            "position_ids": get_vision_position_ids(grid, self._config.spatial_merge_size).to(device),
            "cu_seqlens": get_vision_cu_seqlens(grid),
            "max_seqlen": int(grid.prod()),
            **self._family_grid_kwargs(grid, self._tower, device),
        }


def windowed_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    window_mask: Tensor | None = None,
    window_boundaries: int = 0,
    **_: Any,
) -> tuple[Tensor, None]:
    """One vision block's attention in one call, as an `AttentionInterface` of transformers.

    query, key, value: (1, heads, patches, head_dim); returns (1, patches, heads, head_dim).
    window_mask: (1, 1, patches, patches), True within a window. It is for the blocks that attend by windows: those
    called with as many sequence boundaries as there are window boundaries (a full block gets two).
    """
    mask = window_mask if cu_seq_lens_q.numel() == window_boundaries else None
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return output.transpose(1, 2), None


def _to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """To a GPU from pinned memory, so that the copy does not block the host."""
    if device.type != "cuda":
        return pixels.to(device)
    return pixels.pin_memory().to(device, non_blocking=True)


def _window_kwargs(grid: Tensor, tower: Any, device: torch.device) -> dict[str, Any]:
    """Qwen2.5-VL: most blocks attend within windows of 112 x 112 pixels."""
    config = tower.config
    index, ends = get_vision_window_index(grid, config.spatial_merge_size, config.window_size, config.patch_size)
    lengths = ends[1:] - ends[:-1]
    window = torch.repeat_interleave(torch.arange(len(lengths)), lengths)  # (patches,): the window of each patch
    return {
        "window_index": index.to(device),
        "cu_window_seqlens": ends,
        "max_window_seqlen": int(lengths.max()),
        "window_mask": (window[:, None] == window[None])[None, None].to(device),
        "window_boundaries": ends.numel(),
    }


def _interpolation_kwargs(grid: Tensor, tower: Any, device: torch.device) -> dict[str, Any]:
    """Qwen3-VL: learned position embeddings, interpolated to the grid."""
    indices, weights = get_vision_interpolation_indices_and_weights(
        grid,
        tower.num_grid_per_side,
        mode=tower.interpolation_mode,
        align_corners=tower.interpolation_align_corners,
        spatial_merge_size=tower.config.spatial_merge_size,
    )
    return {"interp_indices": indices.to(device), "interp_weights": weights.to(device)}


_GRID_KWARGS = {"windows": _window_kwargs, "whole": _interpolation_kwargs}
