"""The benchmark measures both methods in every implementation, the same pictures in each, and compares their scores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lychee_rerank.benchmark import bench as module
from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.bench import QUERIES, bench
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.benchmark.result import BenchmarkResult
from lychee_rerank.model.loading import load_model
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.vllm import connect, http
from lychee_rerank.weights.locate import Checkpoint
from support import fake_sentence_transformers
from support.fake_vllm import FakeResponse, FakeVllm, serve


@pytest.fixture(autouse=True, scope="module")
def few_rounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "ROUNDS", 1)
        monkeypatch.setattr(http, "_BACKOFF_S", 0.0)
        yield


@pytest.fixture(scope="module")
def vllm() -> Iterator[FakeVllm]:
    """Of another model: its scores are how red a picture is."""
    server = FakeVllm()
    with serve(server.respond) as server.url:
        yield server


@pytest.fixture(scope="module")
def result(vllm: FakeVllm) -> BenchmarkResult:
    """Of the demo, whose tokenizer the stand-in for sentence-transformers can load."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        fake_sentence_transformers.install(monkeypatch)
        return bench(
            "demo",
            dtype="float32",
            images=3,
            new_tokens=3,
            memory_images=50,
            with_cross_encoder=True,
            server=connect(vllm.url, method="yes_no"),
        )


@pytest.mark.slow
def test_both_methods_are_measured_in_every_implementation(result: BenchmarkResult) -> None:
    assert [(entry.method, entry.label) for entry in result.latencies] == [
        ("yes_no", "lychee"),
        ("yes_no", "transformers"),
        ("yes_no", "sentence-transformers"),
        ("yes_no", "sentence-transformers, 3 at once"),
        ("yes_no", "vllm, 8 at once"),
        ("generate", "lychee"),
        ("generate", "transformers"),
        ("generate", "vllm, 8 at once"),
    ]
    assert all(min(entry.first_ms, entry.warm_ms, entry.cached_ms) > 0 for entry in result.latencies)
    assert result.left_out == ()


@pytest.mark.slow
def test_scores_of_the_same_checkpoint_agree_and_those_of_another_differ(result: BenchmarkResult) -> None:
    differs = {entry.label: result.differs(entry) for entry in result.latencies if entry.method == "yes_no"}
    assert [label for label, other in differs.items() if other] == ["vllm, 8 at once"]


@pytest.mark.slow
def test_forward_passes_of_the_decoder_are_counted(result: BenchmarkResult) -> None:
    passes = {(entry.method, entry.implementation): entry.passes for entry in result.latencies}
    assert passes["yes_no", "transformers"] == 1
    assert passes["yes_no", "lychee"] == pytest.approx(1 + 1 / 3)  # each query's prompt is prefilled once
    assert passes["generate", "transformers"] == 3
    assert passes["yes_no", "vllm"] is None


@pytest.mark.slow
def test_memory_is_read_after_every_fifty_images(result: BenchmarkResult) -> None:
    assert [reading.images for reading in result.memory] == [50]
    assert 0 < result.memory[0].used <= result.memory[0].peak


@pytest.mark.slow
def test_peers_that_fail_are_left_out_with_a_sentence(
    checkpoint: Path, vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    server = connect(vllm.url, method="yes_no")
    monkeypatch.setattr(vllm, "intercept", lambda _body: FakeResponse(500, {"error": "it is gone"}))
    result = bench(str(checkpoint), dtype="float32", images=3, new_tokens=2, with_cross_encoder=True, server=server)
    assert {entry.implementation for entry in result.latencies} == {"lychee", "transformers"}
    missing, yes_no, generate = result.left_out
    assert missing == "sentence-transformers is left out of yes_no: it is not installed, or older than 5.4"
    assert yes_no.startswith("vllm is left out of yes_no: ")
    assert generate.startswith("vllm is left out of generate: ")


@pytest.mark.slow
def test_random_weights_are_not_compared_with_what_loads_a_folder() -> None:
    result = bench(size="tiny", dtype="float32", images=3, new_tokens=2, with_cross_encoder=True)
    assert result.model == "random weights in the tiny shapes"
    (sentence,) = result.left_out
    assert "random weights are in no folder" in sentence


def test_no_image_is_used_in_two_rounds_or_for_two_methods() -> None:
    photos = [photo for method in (0, 1) for files in module._rounds(3, method) for photo in files]
    assert len(photos) == 2 * (1 + 3 * module.ROUNDS)
    assert len(set(photos)) == len(photos)


def test_plain_transformers_gives_the_same_scores_and_leaves_the_model_as_it_was(checkpoint: Path) -> None:
    model, _ = load_model(checkpoint, dtype="float32", device_map="cpu")
    options = ScoringOptions("yes_no")
    reranker = Reranker(model, checkpoint=Checkpoint(checkpoint, "small", "argument"), options=options)
    files = list(random_photos(2))
    before = [result.probability for result in reranker.stream(QUERIES[0], files)]
    with TransformersBaseline(model, "yes_no", 3) as baseline:
        assert list(baseline.stream(QUERIES[0], files)) == pytest.approx(before, abs=1e-4)
    reranker.clear_cache()
    assert [result.probability for result in reranker.stream(QUERIES[0], files)] == pytest.approx(before, abs=1e-6)
