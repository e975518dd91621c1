"""Passes over a KV cache of fixed size equal those over one that grows. Here each is run anew instead of replayed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lychee_rerank.images.load import load_image
from lychee_rerank.model import static_decoder
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.text.prompts import generate_messages, yes_no_messages
from lychee_rerank.text.query import normalize_query
from support.cuda_graphs import pretend_cuda_graphs
from support.images import encode, patchwork

QUERIES = ("红色的猫", "a blue dog on the sand of a long beach in summer", "dress")
IMAGES = [load_image(encode(patchwork(seed, 480 + 40 * seed))) for seed in range(3)]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    return pretend_cuda_graphs(monkeypatch)


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> VisionLanguageModel:
    return load_model(checkpoint, dtype="float32", device_map="cpu")[0]


@pytest.fixture
def graphed(checkpoint: Path, recorded: list[None]) -> VisionLanguageModel:
    model = load_model(checkpoint, dtype="float32", device_map="cpu")[0]
    recorded.clear()
    return model


def answers(model: VisionLanguageModel, query: str, max_new_tokens: int = 20) -> list[float]:
    """Probabilities and answers' token ids for all images; answers are drafted from the one before."""
    outputs: list[float] = []
    for image in IMAGES:
        outputs.append(model.score_yes_no(yes_no_messages(normalize_query(query)), image).probability)
        messages = generate_messages(normalize_query(query))
        outputs += model.generate(messages, image, stop=lambda _: False, max_new_tokens=max_new_tokens).token_ids
    return outputs


def test_scores_and_answers_are_the_same_over_several_queries(
    plain: VisionLanguageModel, graphed: VisionLanguageModel, recorded: list[None]
) -> None:
    for query in (*QUERIES, QUERIES[0]):
        assert answers(graphed, query) == pytest.approx(answers(plain, query), abs=1e-6)
    assert recorded


def test_a_prompt_that_does_not_fit_is_computed_without_graphs(
    plain: VisionLanguageModel, graphed: VisionLanguageModel, recorded: list[None]
) -> None:
    query = "龘" * 500
    assert answers(graphed, query, 2) == pytest.approx(answers(plain, query, 2))
    assert len(recorded) == len(IMAGES)  # the vision tower's


def test_graphs_that_compute_something_else_are_not_used(
    plain: VisionLanguageModel,
    checkpoint: Path,
    recorded: list[None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forward = static_decoder.StaticDecoder.forward
    monkeypatch.setattr(static_decoder.StaticDecoder, "forward", lambda *args, **kwargs: 1.2 * forward(*args, **kwargs))
    model = load_model(checkpoint, dtype="float32", device_map="cpu")[0]
    recorded.clear()
    assert "without CUDA graphs: they differ by 0.2" in caplog.text
    assert answers(model, QUERIES[0], 2) == pytest.approx(answers(plain, QUERIES[0], 2))
    assert not recorded


def test_a_driver_that_cannot_record_costs_no_score(
    plain: VisionLanguageModel,
    checkpoint: Path,
    recorded: list[None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no memory for graphs")

    monkeypatch.setattr("lychee_rerank.model.cuda_graphs.record", fail)
    model = load_model(checkpoint, dtype="float32", device_map="cpu")[0]
    assert "without CUDA graphs: no memory for graphs" in caplog.text
    assert answers(model, QUERIES[0], 2) == pytest.approx(answers(plain, QUERIES[0], 2))
