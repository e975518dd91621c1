"""The bench measures both ways of scoring, and both ways give the same scores."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.bench import QUERIES, BenchmarkResult, bench, photographs
from lychee_rerank.cli.bench import memory_table, speed_table
from lychee_rerank.reranker import Reranker


@pytest.fixture(scope="module")
def report(checkpoint: Path) -> BenchmarkResult:
    return bench(str(checkpoint), dtype="float32", pictures=3, new_tokens=3, memory_pictures=50)


def test_both_methods_are_measured_both_ways(report: BenchmarkResult) -> None:
    measured = [(speed.method, speed.way) for speed in report.speeds]
    assert measured == [("yes_no", "engine"), ("yes_no", "plain"), ("generate", "engine"), ("generate", "plain")]
    assert all(min(speed.first, speed.later, speed.second_query) > 0 for speed in report.speeds)


def test_passes_of_the_language_model_are_counted(report: BenchmarkResult) -> None:
    passes = {(speed.method, speed.way): speed.passes for speed in report.speeds}
    assert passes["yes_no", "plain"] == 1
    assert passes["yes_no", "engine"] == pytest.approx(1 + 1 / 3)  # each query's prompt is read once
    assert passes["generate", "plain"] == 3


def test_memory_is_read_after_every_fifty_pictures(report: BenchmarkResult) -> None:
    assert [reading.pictures for reading in report.memory] == [50]
    assert 0 < report.memory[0].used <= report.memory[0].peak


def test_a_report_is_told_as_tables_and_as_json(report: BenchmarkResult) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(speed_table(report), memory_table(report))
    told = console.export_text()
    assert report.machine in told
    assert "times faster" in told
    assert json.loads(json.dumps(asdict(report)))["speeds"][0]["method"] == "yes_no"


def test_the_plain_loop_gives_the_scores_of_the_engine_and_leaves_the_model_as_it_was(checkpoint: Path) -> None:
    reranker = Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map="cpu")
    sources = list(photographs(2))
    before = [result.probability for result in reranker.stream(QUERIES[0], sources)]
    with TransformersBaseline(reranker._model, "yes_no", 3) as plain:  # type: ignore[arg-type]
        assert list(plain.stream(QUERIES[0], sources)) == pytest.approx(before, abs=1e-4)
    reranker.clear_cache()
    assert [result.probability for result in reranker.stream(QUERIES[0], sources)] == pytest.approx(before, abs=1e-6)


def test_random_weights_in_given_shapes_can_be_measured() -> None:
    report = bench(size="tiny", pictures=3, new_tokens=2)
    assert report.model == "random weights in the tiny shapes"
    assert len(report.speeds) == 4
