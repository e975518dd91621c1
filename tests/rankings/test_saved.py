"""Rankings of an earlier sitting: complete, interrupted, with failures, and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.rankings.archive import open_archive
from lychee_rerank.rankings.job import Job
from lychee_rerank.rankings.saved import SavedRanking, saved_rankings
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.text.query import normalize_query
from support.app_test import red
from support.fake_reranker import FakeReranker
from support.library_images import library_image, red_images

QUERY = normalize_query("红色")


class Interrupted(FakeReranker):
    """The process ends as this image is scored: nothing after it is written."""

    def _count_scored(self, image: object) -> None:
        super()._count_scored(image)
        if self.scored == 3:
            raise RuntimeError("killed")


def run(reranker: FakeReranker, images: list, explain: bool = True) -> Job:
    job = Job(QUERY, images, lambda: (reranker, ScoringOptions()), open_archive(), explain=explain)
    job.wait(20)
    return job


def restored() -> SavedRanking:
    return saved_rankings(open_archive())[-1]


def test_a_finished_ranking_is_found_again_with_its_written_reasons() -> None:
    job = run(FakeReranker(), red_images(40, 250, 120))
    saved = restored()
    assert (saved.query, saved.started, saved.model, saved.prompt) == (QUERY, job.started, "fake", job.prompt)
    before, after = job.status(), saved.status()
    assert (after.state, after.ranking, after.explained) == ("done", before.ranking, 3)
    assert all("理由" in result.answer for result in after.ranking)
    assert after.seconds == before.seconds
    assert [image.name for image in saved.images] == ["40.png", "250.png", "120.png"]


def test_an_interrupted_ranking_has_its_scores_so_far_and_only_the_others_are_scored_again() -> None:
    images = red_images(10, 20, 30, 40)
    run(Interrupted(), images)
    status = restored().status()
    assert (status.state, status.done, status.total) == ("stopped", 2, 4)
    reranker = FakeReranker()
    assert [result.name for result in run(reranker, images).status().ranking] == [
        f"{amount}.png" for amount in (40, 30, 20, 10)
    ]
    assert reranker.scored == 2


def test_a_ranking_that_was_scored_before_is_there_without_scoring_or_writing_reasons() -> None:
    images = red_images(10, 20)
    first = run(FakeReranker(), images).status()
    reranker = FakeReranker(delay=100)  # the test would time out
    again = run(reranker, images).status()
    assert (again.state, again.ranking, reranker.scored) == ("done", first.ranking, 0)


def test_images_that_could_not_be_scored_are_found_again_with_the_reason(tmp_path: Path) -> None:
    gone = library_image("gone.png", tmp_path / "gone.png")
    job = run(FakeReranker(), [*red_images(200), gone])
    saved = restored().status()
    assert saved.state == "done"
    assert [(result.name, result.problem) for result in saved.ranking] == [
        (result.name, result.problem) for result in job.status().ranking
    ]
    assert saved.ranking[1].problem is not None and saved.ranking[1].problem.code == "not_found"


def test_a_file_that_changed_before_it_was_scored_is_found_again_with_the_score_it_got(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(red(10))
    image = library_image("a.png", file)
    file.write_bytes(red(250))
    run(FakeReranker(), [image])
    assert [result.score for result in restored().status().ranking] == [9.8]


def test_a_file_that_changed_after_it_was_scored_gets_no_reason_for_the_other_picture(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(red(10))

    class Changing(FakeReranker):
        def _count_scored(self, image: object) -> None:
            file.write_bytes(red(250))

    (result,) = run(Changing(), [library_image("a.png", file)]).status().ranking
    assert (result.answer, result.finished) == ("得分：0.4分。", False)


def test_a_ranking_interrupted_while_the_model_was_loading_has_no_scores() -> None:
    def fail() -> tuple[FakeReranker, ScoringOptions]:
        raise RuntimeError("killed")

    Job(QUERY, red_images(10, 20), fail, open_archive()).wait(20)
    status = restored().status()
    assert (status.state, status.done, status.total) == ("stopped", 0, 2)


@pytest.mark.parametrize("explain", [True, False])
def test_the_order_of_the_input_decides_between_equal_scores(explain: bool) -> None:
    run(FakeReranker(), [library_image(f"{name}.png", red(1) + name.encode()) for name in "ba"], explain)
    assert [result.name for result in restored().status().ranking] == ["b.png", "a.png"]
