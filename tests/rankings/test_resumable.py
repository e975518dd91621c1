"""Several queries over the same files, resumable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.rankings.resumable import ResumableRun, journal_for
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint
from support.fake_cli import BrightnessBackend, brightness_reranker


@pytest.fixture
def backend() -> BrightnessBackend:
    return BrightnessBackend()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Forty images, more than the first batch holds."""
    paths = [str(tmp_path / f"{number}.png") for number in range(40)]
    for number, path in enumerate(paths):
        Image.new("L", (8, 8), number * 6).save(path)
    return paths


def server_reranker(url: str, model: str = "model") -> Reranker:
    return Reranker(BrightnessBackend(), checkpoint=Checkpoint(Path(), model, "server", url=url))


def test_each_query_scores_a_batch_before_the_next_batch_begins(
    backend: BrightnessBackend, files: list[str], tmp_path: Path
) -> None:
    queries = [normalize_query("bright"), normalize_query("dark")]
    with ResumableRun(brightness_reranker(backend), queries, files, tmp_path / "journal") as run:
        order = [(index, result.index) for index, result in run]
        bright, dark = run.ranking(0), run.ranking(1)
    assert order[:32] == [(0, number) for number in range(16)] + [(1, number) for number in range(16)]
    assert sorted(order) == [(index, number) for index in range(2) for number in range(40)]
    assert [result.index for result in bright] == list(reversed(range(40)))
    assert [result.index for result in dark] == list(range(40))


def test_an_interrupted_run_continues_where_it_stopped(
    backend: BrightnessBackend, files: list[str], tmp_path: Path
) -> None:
    queries = [normalize_query("bright")]
    with ResumableRun(brightness_reranker(backend), queries, files, tmp_path / "journal") as run:
        results = iter(run)
        for _ in range(10):
            next(results)
        results.close()  # type: ignore[attr-defined]
    with ResumableRun(brightness_reranker(backend), queries, files, tmp_path / "journal") as run:
        assert len(list(run)) == len(run.ranking(0)) == 40
    assert len(backend.scored) == 40


def test_the_journal_depends_on_query_method_instruction_fit_and_weights(
    backend: BrightnessBackend, tmp_path: Path
) -> None:
    reranker, query = brightness_reranker(backend), normalize_query("red")
    retrained = Reranker(backend, checkpoint=Checkpoint(DEMO_FOLDER, "demo", "demo"), options=reranker.options)
    changes = ({"method": "generate"}, {"instruction": "Find another."}, {"fit": "whole"})
    others = [replace(reranker.options, **change) for change in changes]  # type: ignore[arg-type]
    journals = {
        journal_for(reranker, query, tmp_path),
        journal_for(reranker, normalize_query("blue"), tmp_path),
        journal_for(retrained, query, tmp_path),
        *(journal_for(reranker, query, tmp_path, options) for options in others),
    }
    assert len(journals) == 6
    assert journal_for(reranker, query, tmp_path, reranker.options) in journals


def test_the_journal_of_a_server_depends_on_its_exact_address_and_its_model(tmp_path: Path) -> None:
    rerankers = [
        server_reranker("http://host:8000"),
        server_reranker("http:/host"),
        server_reranker("http://host"),
        server_reranker("http://host:8001"),
        server_reranker("http://host:8000", "another model"),
    ]
    query = normalize_query("red")
    assert len({journal_for(reranker, query, tmp_path) for reranker in rerankers}) == 5
    assert journal_for(server_reranker("http://host:8000"), query, tmp_path) == journal_for(
        rerankers[0], query, tmp_path
    )
