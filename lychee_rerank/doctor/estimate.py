"""Seconds an image will take, by a roofline model: each part of the network takes the longest of its arithmetic
(2 operations a weight and input row), reading its weights, and launching its operations one by one. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lychee_rerank.devices.memory import DeviceId
from lychee_rerank.devices.speed import DeviceSpeed
from lychee_rerank.weights.model_size import VisionWorkload

TOKENS_AFTER_IMAGE = 6  # of the yes/no prompt; the prefix before the image is cached
OPERATIONS_PER_BLOCK = 85  # of vision and decoder, in units of one small operation, Python's overhead included


@dataclass(frozen=True)
class Estimate:
    """Seconds an image: for `yes_no`, and for `generate` until the score is complete."""

    yes_no: float
    generate: float


def estimate(
    part_sizes: Mapping[str, int],
    device_map: Mapping[str, DeviceId],
    vision: VisionWorkload,
    speeds: Mapping[DeviceId, DeviceSpeed],
    *,
    new_tokens: int = 7,  # "得分：8.6分。"
    bytes_per_weight: int = 2,
) -> Estimate | None:
    """The shortest time an image can take; a part in CPU memory beside a GPU is copied to the GPU for every pass.

    None where a part is on the disk or on a device that was not measured.
    """
    gpu = next((device for device in device_map.values() if device not in ("cpu", "disk")), "cpu")
    compute_devices = {part: gpu if device == "cpu" else device for part, device in device_map.items()}
    if not set(compute_devices.values()) <= set(speeds):
        return None

    def seconds(part: str, rows: int, operations: int = OPERATIONS_PER_BLOCK) -> float:
        size = part_sizes[part] or part_sizes["model.language_model.embed_tokens"]  # lm_head with tied weights
        speed = speeds[compute_devices[part]]
        is_copied = compute_devices[part] != device_map[part]
        copy = size / speed.transfer_rate if is_copied and speed.transfer_rate else 0.0
        arithmetic = 2 * size / bytes_per_weight * rows / speed.flops
        return copy + max(arithmetic, size / speed.read_rate, operations * speed.launch_time)

    def decoder_seconds(rows: int) -> float:
        return sum(seconds(part, rows) for part in part_sizes if ".layers." in part)

    head_seconds = seconds("lm_head", 1, operations=1)
    yes_no = seconds("model.visual", vision.patches, OPERATIONS_PER_BLOCK * vision.blocks)
    yes_no += decoder_seconds(vision.tokens + TOKENS_AFTER_IMAGE)
    return Estimate(yes_no, yes_no + head_seconds + (new_tokens - 1) * (decoder_seconds(1) + head_seconds))
