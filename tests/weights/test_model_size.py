"""How much work a model is, from its configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lychee_rerank.weights.model_size import DEFAULT_MODEL_PART_SIZES, VisionWorkload, vision_workload


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"patch_size": 14, "merge_size": 2, "max_pixels": 12_845_056}, VisionWorkload(784, 196, 32)),
        ({"patch_size": 16, "merge_size": 2, "size": {"longest_edge": 16_777_216}}, VisionWorkload(576, 144, 32)),
        ({"patch_size": 14, "merge_size": 2, "size": {"longest_edge": 112 * 112}}, VisionWorkload(64, 16, 32)),
    ],
)
def test_an_image_has_as_many_patches_as_the_checkpoints_image_processor_cuts(
    processor: dict[str, object], expected: VisionWorkload, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {}}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert vision_workload(tmp_path) == expected


def test_the_published_part_sizes_are_those_of_the_architecture() -> None:
    """Against transformers' own model, made without memory."""
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    from lychee_rerank.benchmark.random_weights import SIZES, model_config
    from lychee_rerank.weights.locate import DEMO_FOLDER

    config = model_config(SIZES["7b"], AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True))
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    assert sum(DEFAULT_MODEL_PART_SIZES.values()) == sum(weight.nbytes for weight in model.parameters())
    vision = sum(weight.nbytes for weight in model.model.visual.parameters())
    assert DEFAULT_MODEL_PART_SIZES["model.visual"] == vision
