"""How much work a model is, before it is loaded; and the size of the published one, for machines without it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.weights.validate import image_processor_config

IMAGE_SIZE = 384  # as `images.load_image` prepares it


@dataclass(frozen=True)
class VisionWorkload:
    """What a vision tower does with one image: `patches` go through its `blocks`, `tokens` come out."""

    patches: int
    tokens: int
    blocks: int


def vision_workload(folder: Path) -> VisionWorkload:
    """For a square image, from a checkpoint's configuration. Raises OSError, ValueError or KeyError."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vision_config"]
    processor = image_processor_config(folder)[0]
    merge, max_pixels = processor["merge_size"], processor.get("max_pixels") or processor["size"]["longest_edge"]
    token_size = processor["patch_size"] * merge  # pixels
    side = min(round(IMAGE_SIZE / token_size), max(1, math.isqrt(max_pixels) // token_size))
    # transformers 4.49 wrote the depth only where it is not 32
    return VisionWorkload(patches=(side * merge) ** 2, tokens=side**2, blocks=config.get("depth", 32))


# vec-ai/lychee-rerank-mm, a Qwen2.5-VL-7B in BF16.
DEFAULT_MODEL_DOWNLOAD_BYTES = 16_582_000_000
DEFAULT_MODEL_VISION = VisionWorkload(patches=784, tokens=196, blocks=32)
DEFAULT_MODEL_PART_SIZES = {  # bytes
    "model.visual": 1_353_100_288,
    "model.language_model.embed_tokens": 1_089_994_752,
    "model.language_model.norm": 7168,
    **{f"model.language_model.layers.{number}": 466_115_584 for number in range(28)},
    "lm_head": 1_089_994_752,
}
