"""A vision block's attention in fewer and smaller operations than in transformers.

transformers attends window by window, and rotates query and key apart, each in seven operations
(`Qwen2_5_VLVisionAttention` in transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py). Here windows of one size are one
batch, and query and key are rotated together in five operations. One call under a mask that keeps the windows apart
would compute all pairs of patches: eight times the time on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lychee_rerank.model.rms_norm import replace_forward

WindowSizes = tuple[tuple[int, int], ...]
"""How many windows of how many patches follow each other: ((9, 64), (6, 32), (1, 16)) for a grid of 28 x 28."""


def fuse_attention(tower: nn.Module, fused: bool = True) -> None:
    """Replace the forward of every attention in a vision tower; `fused=False` restores that of transformers.

    The fused one needs two keyword arguments more, which a tower passes on: `rotary` and `windows`.
    """
    for module in tower.modules():
        if type(module).__name__.endswith("VisionAttention"):
            replace_forward(module, _fused_forward if fused else type(module).forward)


def rotary_factors(tower: Any, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    """`rotary` for patches at position_ids (patches, 2): two factors (patches, 1, 1, head_dim), float32."""
    cos, sin = tower.rotary_pos_emb(position_ids, position_ids)
    return cos[:, None, None], signed_rotary(sin)[:, None, None]


def signed_rotary(sin: Tensor) -> Tensor:
    """With x = (a, b) in halves, `x * cos + (-b, a) * sin` equals `x * cos + (b, a) * signed_rotary(sin)`."""
    first, second = sin.chunk(2, -1)
    return torch.cat([-first, second], -1)


def rotate(states: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """states: (..., heads, head_dim), as the result."""
    return (states * cos).addcmul_(states.roll(states.shape[-1] // 2, -1), signed_sin)


def _fused_forward(
    attention: Any,
    hidden_states: Tensor,
    cu_seqlens: Tensor,
    rotary: tuple[Tensor, Tensor],
    windows: WindowSizes = (),
    **_: Any,
) -> Tensor:
    """hidden_states: (patches, hidden), as the result. cu_seqlens: (sequences + 1,), their boundaries; a block that
    attends to the whole image has two.
    """
    qkv = attention.qkv(hidden_states).view(len(hidden_states), 3, attention.num_heads, -1)
    query_key, value = rotate(qkv[:, :2].float(), *rotary).to(qkv.dtype), qkv[:, 2]
    if cu_seqlens.numel() == 2:
        windows = ((1, len(hidden_states)),)
    sizes = [count * length for count, length in windows]
    groups = zip(torch.split(query_key, sizes), torch.split(value, sizes), windows, strict=True)
    output = torch.cat([_attend(*group, attention.scaling) for group in groups])
    projected: Tensor = attention.proj(output.flatten(1))
    return projected


def _attend(query_key: Tensor, value: Tensor, window: tuple[int, int], scaling: float) -> Tensor:
    """Attention within windows of one size. value: (patches, heads, head_dim), as the result."""
    query, key = query_key.view(*window, *query_key.shape[1:]).permute(2, 0, 3, 1, 4)
    value = value.view(*window, *value.shape[1:]).transpose(1, 2)  # (count, heads, length, head_dim), as the others
    output = nn.functional.scaled_dot_product_attention(query, key, value, scale=scaling)
    return output.transpose(1, 2).flatten(0, 1)
