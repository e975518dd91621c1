"""Gated MLPs padded to a width that a GPU's matrix units take.

Those of Qwen2.5-VL's vision tower have 3420 columns, in BF16 not a multiple of 16 bytes: on an H200 their products were
left to a kernel of 48 microseconds each, half of the whole tower's time.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

_MULTIPLE = 64


def pad_mlps(tower: nn.Module) -> None:
    """Pad those that are on a GPU."""
    for module in tower.modules():
        down: Any = getattr(module, "down_proj", None)
        if down is not None and down.weight.device.type == "cuda":
            pad_mlp(module)


def pad_mlp(mlp: Any) -> None:
    """Pad `down(activation(gate(x)) * up(x))` with zeros, which leave its result as it is."""
    padding = -mlp.down_proj.weight.shape[1] % _MULTIPLE
    for linear in (mlp.gate_proj, mlp.up_proj):
        linear.weight = _padded(linear.weight, (0, 0, 0, padding))
        if linear.bias is not None:
            linear.bias = _padded(linear.bias, (0, padding))
    mlp.down_proj.weight = _padded(mlp.down_proj.weight, (0, padding))


def _padded(weight: Tensor, padding: tuple[int, ...]) -> nn.Parameter:
    return nn.Parameter(nn.functional.pad(weight, padding), requires_grad=False)
