"""RMSNorm in half the calls, with the same bits.

transformers normalises in eight small steps, each a launch of its own on a GPU and a pass over memory everywhere; a
Qwen2.5-VL-7B norms 122 times a picture. Here PyTorch's own norm does the part in float32 in one. The weight is
multiplied afterwards, in the model's type: handed to PyTorch's norm it would round differently in BF16.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


def fuse_norms(model: nn.Module) -> None:
    """Let every RMSNorm of the model run in few calls."""
    for norm in _norms(model):
        setattr(norm, _place(norm), MethodType(_fused, norm))


def unfuse_norms(model: nn.Module) -> None:
    """Let them run as transformers runs them again."""
    for norm in _norms(model):
        setattr(norm, _place(norm), MethodType(type(norm).forward, norm))


def _norms(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if type(module).__name__.endswith("RMSNorm")]


def _place(norm: nn.Module) -> str:
    """accelerate wraps the forward of a part that it moves between devices, and keeps the part's own beside it."""
    return "_old_forward" if hasattr(norm, "_hf_hook") else "forward"


def _fused(norm: Any, hidden_states: Tensor) -> Tensor:
    normalised = nn.functional.rms_norm(hidden_states.to(torch.float32), norm.weight.shape, eps=norm.variance_epsilon)
    weighted: Tensor = norm.weight * normalised.to(hidden_states.dtype)
    return weighted
