"""Image -> features: the image processor and the vision tower, with what depends only on the grid computed once.

A grid is an image's number of patches in time (always 1), height and width. transformers computes positions and windows
for every image. Here they are cached by grid, and windows of one size follow each other, so that a block attends to
them in one call (`vision_attention.py`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import fetch_image
from torch import Tensor
from transformers import PreTrainedModel
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from lychee_rerank.devices.memory import GIB, MIB
from lychee_rerank.errors import ModelError
from lychee_rerank.model.cuda_graphs import GraphCache
from lychee_rerank.model.vision_attention import fuse_attention, rotary_factors
from lychee_rerank.weights.families import find_family

_CACHED_GRIDS = 64  # a grid's constants take half a megabyte; fit="whole" brings a few dozen grids


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
        self.graphs: GraphCache | None = None  # not for towers with DeepStack
        fuse_attention(self._tower)
        _retain_freed_memory(self._tower)

    def resize(self, image: Image.Image) -> Image.Image:
        """To sides that are multiples of the patches that share a token; nothing for an image of such a size."""
        resized: Image.Image = fetch_image({"image": image}, image_patch_size=self._config.patch_size)
        return resized

    def __call__(self, image: Image.Image) -> ImageFeatures:
        inputs = self._processor(images=[self.resize(image)], return_tensors="pt")
        grid = inputs["image_grid_thw"].cpu()
        weight = self._tower.patch_embed.proj.weight
        tokens, deepstack = self._encode(_to_device(inputs["pixel_values"].to(weight.dtype), weight.device), grid)
        return ImageFeatures(tokens, deepstack, grid)

    def _encode(self, pixels: Tensor, grid: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tokens and deepstack of `ImageFeatures` from pixels (patches, channels * frames * height * width) on the
        tower's device. Of the grid (1, 3) on the CPU everything is computed beforehand: a GPU is not waited for.
        """
        shape = tuple(grid[0].tolist())
        run = functools.partial(self._tower, grid_thw=grid, **self._grid_kwargs(shape))
        if self.graphs:
            return self.graphs.run(shape, lambda pixels: run(pixels).pooler_output, pixels), ()
        output = run(pixels)
        return output.pooler_output, tuple(getattr(output, "deepstack_features", ()))

    def _compute_grid_kwargs(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        """What the tower's forward takes for a grid; it computes what it is not given."""
        grid, device = torch.tensor([shape]), self._tower.patch_embed.proj.weight.device
        position_ids = get_vision_position_ids(grid, self._config.spatial_merge_size).to(device)
        return {
            "position_ids": position_ids,
            "cu_seqlens": get_vision_cu_seqlens(grid),
            **self._family_grid_kwargs(grid, self._tower, position_ids),
        }


def _to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """To a GPU from pinned memory, so that the copy does not block the host."""
    if device.type != "cuda":
        return pixels.to(device)
    return pixels.pin_memory().to(device, non_blocking=True)


def _retain_freed_memory(tower: torch.nn.Module) -> None:
    """For a large tower on the CPU, keep up to 64 MiB of freed memory for the next block, where the C library is glibc.

    glibc returns large buffers to the system and gets them back page by page: 280,000 page faults an image in the 7B's
    tower, an eighth of its time. Once a buffer of 32 MiB was freed, those up to that size stay (M_MMAP_THRESHOLD in
    https://man7.org/linux/man-pages/man3/mallopt.3.html).
    """
    if sum(weight.nbytes for weight in tower.parameters() if weight.device.type == "cpu") > GIB // 2:
        torch.empty(32 * MIB - 2**16, dtype=torch.uint8)


def _window_kwargs(grid: Tensor, tower: Any, position_ids: Tensor) -> dict[str, Any]:
    """Qwen2.5-VL: most blocks attend within windows of 112 x 112 pixels, smaller at the right and lower edges."""
    config, device = tower.config, position_ids.device
    index, ends = get_vision_window_index(grid, config.spatial_merge_size, config.window_size, config.patch_size)
    lengths, order = ends.diff().sort(descending=True, stable=True)
    tokens = index.tensor_split((ends[1:-1] // tower.spatial_merge_unit).long())  # those of each window
    window_index = torch.cat([tokens[window] for window in order.tolist()]).to(device)
    sizes, counts = lengths.unique_consecutive(return_counts=True)
    window_positions = tower.permute_input_for_window_attn(position_ids, window_index, len(position_ids))
    return {
        "window_index": window_index,
        "cu_window_seqlens": torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        "windows": tuple(zip(counts.tolist(), sizes.tolist(), strict=True)),
        "rotary": rotary_factors(tower, window_positions),
    }


def _interpolation_kwargs(grid: Tensor, tower: Any, position_ids: Tensor) -> dict[str, Any]:
    """Qwen3-VL: learned position embeddings, interpolated to the grid."""
    indices, weights = get_vision_interpolation_indices_and_weights(
        grid,
        tower.num_grid_per_side,
        mode=tower.interpolation_mode,
        align_corners=tower.interpolation_align_corners,
        spatial_merge_size=tower.config.spatial_merge_size,
    )
    return {
        "interp_indices": indices.to(position_ids.device),
        "interp_weights": weights.to(position_ids.device),
        "rotary": rotary_factors(tower, position_ids),
    }


_GRID_KWARGS = {"windows": _window_kwargs, "whole": _interpolation_kwargs}
