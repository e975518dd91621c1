"""One ranking in a worker thread: progress, Stop, failures, reasons."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.errors import CheckpointError
from lychee_rerank.rankings.job import Job, JobImage
from lychee_rerank.text.query import normalize_query
from support.fake_reranker import StandIn
from support.images import encoded

QUERY = normalize_query("红色")


def reds(*amounts: int) -> list[JobImage]:
    return [
        JobImage(str(place), f"{amount}.png", encoded(Image.new("RGB", (40, 30), (amount, 0, 0))))
        for place, amount in enumerate(amounts)
    ]


def until(job: Job, state: str) -> None:
    for _ in range(600):
        if job.status().state == state:
            return
        time.sleep(0.01)
    pytest.fail(f"never {state}: {job.status()}")


def test_a_job_ranks_names_and_explains_every_picture() -> None:
    job = Job(QUERY, reds(40, 250, 120), StandIn)
    job.wait(20)
    done = job.status()
    assert (done.state, done.done, done.total, done.explained) == ("done", 3, 3, 3)
    assert [result.name for result in done.ranking] == ["250.png", "120.png", "40.png"]
    assert all("理由" in result.answer for result in done.ranking)
    assert [result.index for result in done.latest] == [0, 1, 2]


def test_stop_keeps_what_is_scored() -> None:
    stand_in = StandIn(delay=0.03)
    job = Job(QUERY, reds(*range(10, 250)), lambda: stand_in)
    until(job, "scoring")
    while not job.status().done:
        time.sleep(0.01)
    job.stop()
    job.wait(10)
    stopped = job.status()
    assert stopped.state == "stopped"
    assert 0 < stopped.done < stopped.total
    assert stand_in.scored <= stopped.done + 1


def test_stop_while_loading_scores_nothing() -> None:
    def slow() -> StandIn:
        time.sleep(0.2)
        return StandIn()

    job = Job(QUERY, reds(1, 2), slow)
    job.stop()
    job.wait(10)
    assert (job.status().state, job.status().done) == ("stopped", 0)


def test_stopping_the_reasons_leaves_the_ranking_done() -> None:
    job = Job(QUERY, reds(*range(10, 60)), lambda: StandIn(delay=0.01))
    until(job, "explaining")
    job.stop()
    job.wait(10)
    done = job.status()
    assert (done.state, done.done) == ("done", 50)
    assert done.explained < 50


def test_reasons_can_be_left_out() -> None:
    job = Job(QUERY, reds(9, 200), StandIn, explain=False)
    job.wait(10)
    assert (job.status().state, job.status().explained) == ("done", 0)


def test_a_model_that_cannot_be_loaded_fails_with_its_sentence() -> None:
    def broken() -> StandIn:
        raise CheckpointError("The checkpoint is damaged.", folder=Path("x"))

    job = Job(QUERY, reds(1), broken)
    job.wait(10)
    assert (job.status().state, str(job.status().error)) == ("failed", "The checkpoint is damaged.")


def test_what_nobody_foresaw_reaches_the_page(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(StandIn):
        def stream(self, query: object, images: object) -> object:  # type: ignore[override]
            raise RuntimeError("driver lost")

    job = Job(QUERY, reds(1), Odd)
    job.wait(10)
    assert "driver lost" in str(job.status().error)
    assert "broke off" in caplog.text


def test_the_time_left_is_known_while_scoring() -> None:
    job = Job(QUERY, reds(*range(100)), lambda: StandIn(delay=0.02))
    while job.status().done < 3:
        time.sleep(0.01)
    left = job.status().seconds_left
    job.stop()
    assert left is not None
    assert 0.5 < left < 60
