"""Every family of checkpoints gives the scores and texts of plain transformers, and is recognized by its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from lychee_rerank.images.load import load_image
from lychee_rerank.images.resize import Fit
from lychee_rerank.model.loading import part_sizes
from lychee_rerank.reranker import Reranker
from lychee_rerank.weights.families import FAMILIES, find_family
from lychee_rerank.weights.validate import validate_checkpoint
from support.images import encode, patchwork
from support.published_protocol import PublishedProtocol
from support.small_checkpoints import write_checkpoint, write_published, write_published_qwen3, write_qwen3

pytestmark = pytest.mark.slow  # loads a model of each family in nearly every test

WRITERS: dict[str, Callable[[Path], Path]] = {
    "Qwen2.5-VL, tied as 3B": lambda folder: write_checkpoint(folder, tied=True),
    "Qwen2.5-VL, tied and published": lambda folder: write_published(folder, tied=True),
    "Qwen3-VL, tied and published as 2B": write_published_qwen3,
    "Qwen3-VL, as 8B": lambda folder: write_qwen3(folder, tied=False),
}
QUERIES = ("红色的猫", "a blue dog on sand", "红色 dress", "红色的猫")


@pytest.fixture(scope="module", params=WRITERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp("family") / "small")


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Reranker:
    return Reranker.from_pretrained(str(folder), method="yes_no", dtype="float32", device_map="cpu")


@pytest.fixture(scope="module")
def protocol(folder: Path) -> PublishedProtocol:
    return PublishedProtocol(folder)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [encode(patchwork(seed, 480 + 40 * seed)) for seed in range(3)]


def probabilities(reranker: Reranker, query: str, images: list[bytes], fit: Fit = "crop") -> list[float | None]:
    options = replace(reranker.options, fit=fit)
    return [result.probability for result in reranker.stream(query, images, options=options)]


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_yes_no_equals_plain_transformers_over_many_queries(
    reranker: Reranker, protocol: PublishedProtocol, images: list[bytes], fit: Fit
) -> None:
    prepared = [load_image(content, fit=fit).image for content in images]
    for query in QUERIES:
        expected = [protocol.probability(query, image) for image in prepared]
        assert probabilities(reranker, query, images, fit) == pytest.approx(expected, abs=1e-4)
        assert len({round(score, 3) for score in expected}) == len(images)


def test_generated_answers_equal_those_of_plain_transformers(
    reranker: Reranker, protocol: PublishedProtocol, images: list[bytes]
) -> None:
    options = replace(reranker.options, method="generate")
    result = next(reranker.stream(QUERIES[0], images, options=options))
    explained = reranker.explain(QUERIES[0], result, images[0], options=options)
    assert explained.answer == protocol.answer(QUERIES[0], load_image(images[0]).image, 160)


def test_auto_chooses_a_method_for_a_model_of_any_family(folder: Path, images: list[bytes]) -> None:
    reranker = Reranker.from_pretrained(str(folder), dtype="float32", device_map="cpu")
    assert reranker.method in ("yes_no", "generate")  # random weights write a digit now and then
    assert all(result.problem is None for result in reranker.stream("猫", images))


def test_blocks_run_from_disk_give_the_same_scores(folder: Path, reranker: Reranker, images: list[bytes]) -> None:
    parts = part_sizes(folder, torch.float32)
    device_map: dict[str, object] = {part: "disk" if part.endswith("layers.1") else "cpu" for part in parts}
    dispatched = Reranker.from_pretrained(str(folder), method="yes_no", dtype="float32", device_map=device_map)
    expected = probabilities(reranker, "猫", images)
    assert probabilities(dispatched, "猫", images) == pytest.approx(expected, abs=1e-4)


def test_the_sizes_of_the_parts_add_up_to_the_weights(folder: Path, reranker: Reranker) -> None:
    weights = sum(weight.nbytes for weight in reranker._backend.model.parameters())  # type: ignore[attr-defined]
    assert sum(part_sizes(folder, torch.float32).values()) == weights


def test_a_complete_folder_of_any_family_has_no_problems(folder: Path) -> None:
    assert list(validate_checkpoint(folder)) == []


def test_every_row_names_classes_of_transformers() -> None:
    for family in FAMILIES:
        assert hasattr(transformers, family.architecture)
        assert hasattr(transformers, family.image_processor)
        assert find_family([family.architecture]) is family
    assert find_family(["LlamaForCausalLM"]) is None
