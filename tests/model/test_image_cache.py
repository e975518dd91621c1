"""Image features stay within their budget, and scores do not depend on what is cached."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.model.image_cache import ImageFeatureCache
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vision_tower import ImageFeatures
from lychee_rerank.text.prompts import yes_no_messages
from lychee_rerank.text.query import normalize_query
from support.images import encode, patchwork


def features(tokens: int, deepstack: int = 0) -> ImageFeatures:
    """8 bytes for each token and layer."""
    return ImageFeatures(
        torch.zeros(tokens, 2), tuple(torch.zeros(tokens, 2) for _ in range(deepstack)), torch.tensor([[1, 2, 2]])
    )


def test_the_least_recently_used_features_are_dropped_once_the_budget_is_full() -> None:
    cache = ImageFeatureCache(budget=100)
    cache["a"], cache["b"] = features(5), features(5)
    assert cache["a"].nbytes == 40
    cache["c"] = features(5)
    assert set(cache) == {"a", "c"}
    assert cache.currsize == 80


def test_features_for_deeper_layers_count_towards_the_budget() -> None:
    cache = ImageFeatureCache(budget=100)
    cache["a"] = features(4, deepstack=2)
    assert cache.currsize == 96


def test_features_larger_than_the_budget_are_not_cached_and_drop_nothing() -> None:
    cache = ImageFeatureCache(budget=100)
    cache["a"] = features(5)
    cache["large"] = features(13)
    assert set(cache) == {"a"}


@pytest.mark.parametrize("budget_in_images", [0.5, 2.5])
def test_a_budget_that_is_too_small_leaves_scores_as_they_are(checkpoint: Path, budget_in_images: float) -> None:
    model, _ = load_model(checkpoint, dtype="float32", device_map="cpu")
    messages = yes_no_messages(normalize_query("猫"))
    images = [load_image(encode(patchwork(seed))) for seed in range(4)]

    def scores(images: list[LoadedImage]) -> list[float]:
        return [model.score_yes_no(messages, image).probability for image in images]

    expected = scores(images)
    size = model._image_features[images[0].key].nbytes
    model._image_features = ImageFeatureCache(int(budget_in_images * size))
    assert scores(images) == pytest.approx(expected, abs=1e-6)
    assert scores(images) == pytest.approx(expected, abs=1e-6)
    assert [model.has_image_features(image.key) for image in images].count(True) == int(budget_in_images)
