"""RMSNorm in four operations instead of eight, with the same bits.

transformers computes `weight * (x * rsqrt(mean(x**2) + eps))` one operation at a time, the part in brackets in float32
(`Qwen2_5_VLRMSNorm` in transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py). Each is a kernel launch on a GPU, and a
Qwen2.5-VL-7B has 122 norms. Here `torch.nn.functional.rms_norm` computes the brackets. The weight is multiplied
afterwards, in the model's own type: given to `rms_norm`, it would round differently in BF16.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


def fuse_norms(model: nn.Module, fused: bool = True) -> None:
    """Replace the forward of every RMSNorm in the model; `fused=False` restores that of transformers."""
    for norm in model.modules():
        if type(norm).__name__.endswith("RMSNorm"):
            replace_forward(norm, _fused_forward if fused else type(norm).forward)


def keep_sums_in_float32(language_model: Any, embed: nn.Module) -> None:
    """Most of a score's rounding error is the residual stream's and the last norm's (tools/precision.py).

    Embeddings, the output of `embed`, enter in float32, blocks add to them, and only what other norms hand to matrix
    products is rounded.
    """
    language_model.norm.output_dtype = torch.float32
    language_model.rotary_emb.register_forward_pre_hook(  # its cosines get the type of its argument
        lambda _module, args: (args[0].to(embed.weight.dtype), *args[1:])
    )


def replace_forward(module: nn.Module, forward: Callable[..., Tensor]) -> None:
    """Make a function of the module and its inputs the module's forward."""
    # accelerate wraps `forward` of a module that it moves between devices, and keeps the original beside it.
    attribute = "_old_forward" if hasattr(module, "_hf_hook") else "forward"
    setattr(module, attribute, MethodType(forward, module))


def _fused_forward(norm: Any, hidden_states: Tensor) -> Tensor:
    """hidden_states: (..., width), of any floating type. Returns `norm.output_dtype`, else the type of the weight."""
    normalized = nn.functional.rms_norm(hidden_states.to(torch.float32), norm.weight.shape, eps=norm.variance_epsilon)
    weighted: Tensor = norm.weight * normalized.to(getattr(norm, "output_dtype", norm.weight.dtype))
    return weighted
