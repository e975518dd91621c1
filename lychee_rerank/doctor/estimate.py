"""How long a picture will take, worked out from what a device was measured to do and what a model asks of it, before
anything is loaded. Pure arithmetic.

Every part of a model takes the longest of three: its arithmetic (two operations for each weight and each row of input),
reading its weights, and starting its operations one by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.devices.device_map import DeviceId
from lychee_rerank.weights.validate import image_processor_config

PICTURE_SIDE = 384  # what `images.load_image` hands on
TOKENS_BEHIND_PICTURE = 6  # of the yes/no prompt; what stands before the picture is read once for all pictures
TOKENS_TO_THE_SCORE = 7  # "得分：8.6分。"
OPERATIONS_A_BLOCK = 85  # of vision and decoder alike, in units of one small operation, Python's own work counted in
USUAL_BLOCKS = 32  # of a vision tower; transformers 4.49 wrote it into config.json only where it differs


@dataclass(frozen=True)
class Speed:
    """What a device was measured to do: `flops` a second in matrix products of the model's type, `reading` weights in
    bytes a second, seconds for `starting` one small operation, and of a GPU `fetching` weights from CPU memory in bytes
    a second.
    """

    flops: float
    reading: float
    starting: float
    fetching: float | None = None


@dataclass(frozen=True)
class Sight:
    """What a vision tower makes of one picture: `patches` go through its `blocks`, `tokens` come out."""

    patches: int
    tokens: int
    blocks: int


@dataclass(frozen=True)
class Estimate:
    """Seconds a picture: for `yes_no`, and for `generate` up to the score."""

    yes_no: float
    generate: float


# The published weights, for machines that do not have them yet: a Qwen2.5-VL-7B in BF16.
PUBLISHED_PARTS = {
    "model.visual": 1_353_100_288,
    "model.language_model.embed_tokens": 1_089_994_752,
    "model.language_model.norm": 7168,
    **{f"model.language_model.layers.{number}": 466_115_584 for number in range(28)},
    "lm_head": 1_089_994_752,
}
PUBLISHED_SIGHT = Sight(patches=784, tokens=196, blocks=32)


def estimate(
    parts: Mapping[str, int],
    placed: Mapping[str, DeviceId],
    sight: Sight,
    speeds: Mapping[DeviceId, Speed],
    *,
    bytes_a_weight: int = 2,
    written: int = TOKENS_TO_THE_SCORE,
) -> Estimate | None:
    """Seconds a picture for a model whose `parts` (bytes each) are `placed` on devices of known `speeds`.

    A part in CPU memory beside a GPU is fetched to the GPU for every pass. None where a part runs from the disk or on a
    device that was not measured: then only a run tells.
    """
    runs_on = working_devices(placed)
    if not set(runs_on.values()) <= set(speeds):
        return None

    def seconds(part: str, rows: int, operations: int = OPERATIONS_A_BLOCK) -> float:
        speed, size = speeds[runs_on[part]], parts[part] or _tied(parts, part)
        fetched = size / speed.fetching if runs_on[part] != placed[part] and speed.fetching else 0.0
        arithmetic = 2 * size / bytes_a_weight * rows / speed.flops
        return fetched + max(arithmetic, size / speed.reading, operations * speed.starting)

    def decoder(rows: int) -> float:
        return sum(seconds(part, rows) for part in parts if ".layers." in part)

    seen = seconds("model.visual", sight.patches, OPERATIONS_A_BLOCK * sight.blocks)
    yes_no = seen + decoder(sight.tokens + TOKENS_BEHIND_PICTURE)
    head = seconds("lm_head", 1, operations=1)
    return Estimate(yes_no, yes_no + head + (written - 1) * (decoder(1) + head))


def working_devices(placed: Mapping[str, DeviceId]) -> dict[str, DeviceId]:
    """The device that does each part's arithmetic: for what lies in CPU memory beside a GPU, that GPU."""
    gpu = next((device for device in placed.values() if device not in ("cpu", "disk")), "cpu")
    return {part: gpu if device == "cpu" else device for part, device in placed.items()}


def sight_of(folder: Path) -> Sight:
    """What the vision tower of a checkpoint makes of a square picture, read from its configuration.

    Raises OSError, ValueError or KeyError where that cannot be read.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vision_config"]
    processor = image_processor_config(folder)[0]
    merged, limit = processor["merge_size"], processor.get("max_pixels") or processor["size"]["longest_edge"]
    step = processor["patch_size"] * merged
    side = min(round(PICTURE_SIDE / step), max(1, math.isqrt(limit) // step))
    return Sight(patches=(side * merged) ** 2, tokens=side**2, blocks=config.get("depth", USUAL_BLOCKS))


def _tied(parts: Mapping[str, int], part: str) -> int:
    """An lm_head without weights of its own uses those of the embeddings."""
    return parts["model.language_model.embed_tokens"] if part == "lm_head" else 0
