"""The type of a model's weights where the person asked for none: BF16, as they are stored, or float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lychee_rerank.devices.device_map import WORKSPACE_BYTES, DeviceMapPlan
from lychee_rerank.devices.memory import DeviceId
from lychee_rerank.devices.processor import computes_bfloat16

Dtype = Literal["bfloat16", "float32"]


def choose_dtype(plan: DeviceMapPlan, part_sizes: Mapping[str, int], free_bytes: Mapping[DeviceId, int]) -> Dtype:
    """float32 where the CPU runs all of the model, cannot compute in BF16, and has room for twice the bytes.

    part_sizes: bytes of each part in BF16, from which `plan` was made.
    """
    if not plan.on_cpu or computes_bfloat16():
        return "bfloat16"
    return "float32" if 2 * sum(part_sizes.values()) + WORKSPACE_BYTES <= free_bytes["cpu"] else "bfloat16"
