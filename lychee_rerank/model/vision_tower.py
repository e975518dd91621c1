"""Picture -> image tokens: the processor, and the vision tower with everything that depends on the grid alone computed
once.

transformers works the windows of the vision tower out anew for every picture and attends window by window. Here a
grid's constants are kept, and each block attends once, under a mask that keeps the windows apart: the same numbers, a
tenth of the calls. How a family's tower sees (`Family.vision`) decides which constants it needs, nothing else.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from lychee_rerank.errors import ModelError
from lychee_rerank.text.prompts import Messages
from lychee_rerank.weights.families import find_family

_GRIDS_KEPT = 64  # a grid's mask takes half a megabyte; fit="whole" brings a few dozen grids


def windowed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    *,
    window_mask: Tensor | None = None,
    windows: int = 0,
    cu_seq_lens_q: Tensor,
    **unused: Any,
) -> tuple[Tensor, None]:
    """One attention call for a whole block; `windows` boundaries mean a windowed block, two a full one."""
    del module, attention_mask, unused
    mask = window_mask if cu_seq_lens_q.numel() == windows else None
    seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return seen.transpose(1, 2), None


# "flash" in the name makes transformers hand over the window boundaries instead of cutting the sequence itself.
_ATTENTION = "flash_masked_windows"
AttentionInterface.register(_ATTENTION, windowed_attention)


class VisionTower:
    """Turns the picture inside messages into image tokens."""

    def __init__(self, model: PreTrainedModel, image_processor: Any) -> None:
        family = find_family([type(model).__name__])
        if family is None:
            raise ModelError(f"{type(model).__name__} is of no family that is known here.")
        self._tower = model.model.visual
        self._processor = image_processor
        self._config = model.config.vision_config
        model.set_attn_implementation({"vision_config": _ATTENTION})
        self.patches_per_token = self._config.spatial_merge_size**2
        self._of_its_kind = _GRID_KWARGS[family.vision]
        self._constants = functools.lru_cache(maxsize=_GRIDS_KEPT)(self._grid_constants)

    def __call__(self, messages: Messages) -> tuple[Tensor, Tensor]:
        """Image tokens of the one picture in `messages`, and its (1, 3) grid of patches on the CPU.

        Image tokens are (1 + d, n, hidden): first what takes the picture's place in the prompt, then what is added to
        it behind each of the first d decoder blocks; d is 0 for Qwen2.5-VL.
        """
        from qwen_vl_utils import process_vision_info

        pictures, _ = process_vision_info(messages, image_patch_size=self._config.patch_size)
        prepared = self._processor(images=pictures, return_tensors="pt")
        grid = prepared["image_grid_thw"].cpu()
        weight = self._tower.patch_embed.proj.weight
        pixels = _to_device(prepared["pixel_values"].to(weight.dtype), weight.device)
        seen = self._tower(pixels, grid_thw=grid, **self._constants(tuple(grid[0].tolist())))
        return torch.stack([seen.pooler_output, *getattr(seen, "deepstack_features", ())]), grid

    def _grid_constants(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        grid, device = torch.tensor([shape]), self._tower.patch_embed.proj.weight.device
        return {
            "position_ids": get_vision_position_ids(grid, self._config.spatial_merge_size).to(device),
            "cu_seqlens": get_vision_cu_seqlens(grid),
            "max_seqlen": int(grid.prod()),
            **self._of_its_kind(grid, self._tower, device),
        }


def _to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """To the device; to a GPU from pinned memory, so that the host goes on at once."""
    if device.type != "cuda":
        return pixels.to(device)
    return pixels.pin_memory().to(device, non_blocking=True)


def _window_kwargs(grid: Tensor, tower: Any, device: torch.device) -> dict[str, Any]:
    config = tower.config
    index, ends = get_vision_window_index(grid, config.spatial_merge_size, config.window_size, config.patch_size)
    lengths = ends[1:] - ends[:-1]
    window = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return {
        "window_index": index.to(device),
        "cu_window_seqlens": ends,
        "max_window_seqlen": int(lengths.max()),
        "window_mask": (window[:, None] == window[None])[None, None].to(device),
        "windows": ends.numel(),
    }


def _interpolation_kwargs(grid: Tensor, tower: Any, device: torch.device) -> dict[str, Any]:
    indices, weights = get_vision_interpolation_indices_and_weights(
        grid,
        tower.num_grid_per_side,
        mode=tower.interpolation_mode,
        align_corners=tower.interpolation_align_corners,
        spatial_merge_size=tower.config.spatial_merge_size,
    )
    return {"interp_indices": indices.to(device), "interp_weights": weights.to(device)}


_GRID_KWARGS = {"windows": _window_kwargs, "whole": _interpolation_kwargs}
