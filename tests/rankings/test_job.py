"""One ranking in a worker thread: progress, stopping, failures, reasons."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.rankings.archive import LibraryImage, open_archive
from lychee_rerank.rankings.job import Job
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.text.query import normalize_query
from support.fake_reranker import FakeReranker, open_fake_reranker
from support.library_images import red_images

QUERY = normalize_query("红色")


def start(
    images: list[LibraryImage], open_reranker: Callable[[], tuple[FakeReranker, ScoringOptions]], **options: bool
) -> Job:
    return Job(QUERY, images, open_reranker, open_archive(), **options)


def wait_for_state(job: Job, state: str) -> None:
    for _ in range(600):
        if job.status().state == state:
            return
        time.sleep(0.01)
    pytest.fail(f"never {state}: {job.status()}")


def test_a_job_ranks_names_and_explains_every_image() -> None:
    job = start(red_images(40, 250, 120), open_fake_reranker)
    job.wait(20)
    done = job.status()
    assert (done.state, done.done, done.total, done.explained) == ("done", 3, 3, 3)
    assert [result.name for result in done.ranking] == ["250.png", "120.png", "40.png"]
    assert all("理由" in result.answer for result in done.ranking)
    assert [result.index for result in done.latest] == [0, 1, 2]


def test_stop_keeps_what_is_scored() -> None:
    reranker, options = open_fake_reranker(delay=0.03)
    job = start(red_images(*range(10, 250)), lambda: (reranker, options))
    wait_for_state(job, "scoring")
    while not job.status().done:
        time.sleep(0.01)
    job.stop()
    job.wait(10)
    stopped = job.status()
    assert stopped.state == "stopped"
    assert 0 < stopped.done < stopped.total
    assert reranker.scored <= stopped.done + 1


def test_stop_while_loading_scores_nothing() -> None:
    def slow() -> tuple[FakeReranker, ScoringOptions]:
        time.sleep(0.2)
        return open_fake_reranker()

    job = start(red_images(1, 2), slow)
    job.stop()
    job.wait(10)
    assert (job.status().state, job.status().done) == ("stopped", 0)


def test_stopping_the_reasons_leaves_the_ranking_done() -> None:
    job = start(red_images(*range(10, 60)), lambda: open_fake_reranker(0.01))
    wait_for_state(job, "explaining")
    job.stop()
    job.wait(10)
    done = job.status()
    assert (done.state, done.done) == ("done", 50)
    assert done.explained < 50


def test_reasons_can_be_left_out() -> None:
    job = start(red_images(9, 200), open_fake_reranker, explain=False)
    job.wait(10)
    assert (job.status().state, job.status().explained) == ("done", 0)


def test_a_model_that_cannot_be_loaded_fails_with_its_sentence() -> None:
    def broken() -> tuple[FakeReranker, ScoringOptions]:
        raise CheckpointError("The checkpoint is damaged.")

    job = start(red_images(1), broken)
    job.wait(10)
    assert (job.status().state, str(job.status().error)) == ("failed", "The checkpoint is damaged.")


def test_an_unforeseen_error_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeReranker):
        def stream(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise RuntimeError("driver lost")

    job = start(red_images(1), lambda: (Failing(), ScoringOptions()))
    job.wait(10)
    assert "driver lost" in str(job.status().error)
    assert "broke off" in caplog.text


def test_the_time_left_is_estimated_while_scoring() -> None:
    job = start(red_images(*range(100)), lambda: open_fake_reranker(0.02))
    while job.status().done < 3:
        time.sleep(0.01)
    left = job.status().seconds_left
    job.stop()
    assert left is not None
    assert 0.5 < left < 60


def test_kept_scores_say_nothing_about_the_time_left() -> None:
    start(red_images(*range(20)), open_fake_reranker, explain=False).wait(20)
    job = start(red_images(*range(40)), lambda: open_fake_reranker(0.05))
    while job.status().done < 24:
        time.sleep(0.01)
    left = job.status().seconds_left
    job.stop()
    assert left is not None
    assert left > 0.3
