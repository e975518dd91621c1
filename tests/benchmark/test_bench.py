"""The benchmark measures both methods in both implementations, and both give the same scores."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.bench import QUERIES, BenchmarkResult, bench, random_photos
from lychee_rerank.cli import app
from lychee_rerank.cli.bench import latency_table, memory_table
from lychee_rerank.model.loading import load_model
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.weights.locate import Checkpoint


@pytest.fixture(scope="module")
def result(checkpoint: Path) -> BenchmarkResult:
    return bench(str(checkpoint), dtype="float32", images=3, new_tokens=3, memory_images=50)


@pytest.mark.slow
def test_both_methods_are_measured_in_both_implementations(result: BenchmarkResult) -> None:
    assert [(entry.method, entry.implementation) for entry in result.latencies] == [
        ("yes_no", "lychee"),
        ("yes_no", "transformers"),
        ("generate", "lychee"),
        ("generate", "transformers"),
    ]
    assert all(min(entry.first_ms, entry.warm_ms, entry.cached_ms) > 0 for entry in result.latencies)


@pytest.mark.slow
def test_forward_passes_of_the_decoder_are_counted(result: BenchmarkResult) -> None:
    passes = {(entry.method, entry.implementation): entry.passes for entry in result.latencies}
    assert passes["yes_no", "transformers"] == 1
    assert passes["yes_no", "lychee"] == pytest.approx(1 + 1 / 3)  # each query's prompt is prefilled once
    assert passes["generate", "transformers"] == 3


@pytest.mark.slow
def test_memory_is_read_after_every_fifty_images(result: BenchmarkResult) -> None:
    assert [reading.images for reading in result.memory] == [50]
    assert 0 < result.memory[0].used <= result.memory[0].peak


@pytest.mark.slow
def test_a_result_is_shown_as_tables(result: BenchmarkResult) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(latency_table(result), memory_table(result))
    text = console.export_text()
    assert result.machine in text
    assert "times faster" in text


@pytest.mark.slow
def test_the_command_measures_random_weights_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    command = ["bench", "--size", "tiny", "--pictures", "3", "--new-tokens", "2", "--json", str(file)]
    outcome = CliRunner().invoke(app, command)
    assert outcome.exit_code == 0, outcome.output
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert (numbers["model"], numbers["images"]) == ("random weights in the tiny shapes", 3)
    assert [entry["method"] for entry in numbers["latencies"]] == ["yes_no", "yes_no", "generate", "generate"]


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
