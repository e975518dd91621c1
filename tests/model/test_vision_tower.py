"""Features equal those of transformers' own vision tower, for every grid and window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vision_attention import fuse_attention
from lychee_rerank.model.vision_tower import ImageFeatures, VisionTower
from support.images import patchwork
from support.small_checkpoints import write_checkpoint, write_qwen3

SHAPES = [(384, 384), (700, 200), (200, 700), (448, 336), (112, 112)]


@pytest.fixture(scope="module", params=[write_checkpoint, write_qwen3])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    write: Callable[[Path], Path] = request.param
    return load_model(write(tmp_path_factory.mktemp("vision") / "small"), dtype="float32", device_map="cpu")[0]


@torch.inference_mode()
def plain_features(loaded: Any, image: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
    """From transformers, which attends window by window."""
    factor = loaded.image_processor.patch_size * loaded.image_processor.merge_size
    width, height = (max(factor, round(side / factor) * factor) for side in image.size)
    inputs = loaded.image_processor(images=[image.resize((width, height))], return_tensors="pt")
    fuse_attention(loaded.model.model.visual, fused=False)
    output = loaded.model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
    return [output.pooler_output, *getattr(output, "deepstack_features", ())], inputs["image_grid_thw"]


@pytest.mark.parametrize("shape", SHAPES)
def test_features_equal_those_of_plain_transformers(loaded: Any, shape: tuple[int, int]) -> None:
    image = patchwork(1, *shape)
    expected, grid = plain_features(loaded, image)
    tower = VisionTower(loaded.model, loaded.image_processor)
    with torch.inference_mode():
        features = tower(image)
    assert torch.equal(features.grid, grid)
    assert len(features.tokens) == int(grid.prod()) // tower.patches_per_token
    for ours, theirs in zip((features.tokens, *features.deepstack), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_only_qwen3_has_features_for_deeper_layers(loaded: Any) -> None:
    with torch.inference_mode():
        features: ImageFeatures = VisionTower(loaded.model, loaded.image_processor)(patchwork(1))
    qwen3 = isinstance(loaded.model, transformers.Qwen3VLForConditionalGeneration)
    assert len(features.deepstack) == (3 if qwen3 else 0)


def test_what_depends_on_the_grid_is_computed_once(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = VisionTower(loaded.model, loaded.image_processor)
    with torch.inference_mode():
        first = tower(patchwork(1))
        monkeypatch.setattr(tower, "_family_grid_kwargs", lambda *_: pytest.fail("computed again"))
        assert not torch.equal(tower(patchwork(2)).tokens, first.tokens)
