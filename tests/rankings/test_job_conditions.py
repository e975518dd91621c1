"""The conditions of a ranking: of the best images unasked, of others on request, and only after the ranking stands."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.images.load import LoadedImage
from lychee_rerank.rankings.archive import LibraryImage, open_archive
from lychee_rerank.rankings.job import CONDITIONS_TOP, Job
from lychee_rerank.rankings.saved import saved_rankings
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query, normalize_query
from support.fake_reranker import FakeReranker
from support.library_images import library_image, red_images

QUERY = normalize_query("红色，方块")
MANY = range(10, 250, 12)  # 20 images


class Recorder(FakeReranker):
    """Remembers the query of each score, in order."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(delay)
        self.passes: list[str] = []

    def stream(
        self, query: Query, images: Iterable[LoadedImage], *, options: ScoringOptions
    ) -> Generator[ImageScore, None, None]:
        for result in super().stream(query, images, options=options):
            self.passes.append(query.text)
            yield result


def run(reranker: FakeReranker, images: list[LibraryImage], query: Query = QUERY, **options: bool) -> Job:
    job = Job(query, images, lambda: (reranker, ScoringOptions()), open_archive(), **options)
    job.wait(20)
    return job


def counts(job: Job) -> list[int]:
    return [len(result.conditions) for result in job.status().ranking]


def test_the_best_images_get_the_score_of_each_condition() -> None:
    job = run(FakeReranker(), red_images(*MANY))
    assert job.conditions == ("红色", "方块")
    assert counts(job) == [2] * CONDITIONS_TOP + [0] * (len(MANY) - CONDITIONS_TOP)
    assert [condition.text for condition in job.status().ranking[0].conditions] == ["红色", "方块"]
    status = job.status()
    assert status.condition_scores == status.condition_scores_total == 2 * CONDITIONS_TOP


def test_conditions_are_scored_after_the_whole_ranking() -> None:
    reranker = Recorder()
    run(reranker, red_images(40, 80, 120))
    assert reranker.passes == [QUERY.text] * 3 + ["红色"] * 3 + ["方块"] * 3


def test_other_images_get_theirs_on_request_and_nothing_is_scored_twice() -> None:
    reranker = Recorder()
    job = run(reranker, red_images(*MANY))
    last = job.status().ranking[-1]
    passes = len(reranker.passes)
    job.request_conditions([last.index, job.status().ranking[0].index])
    job.wait(20)
    assert reranker.passes[passes:] == ["红色", "方块"]
    assert (job.status().state, counts(job)[-1]) == ("done", 2)


def test_a_request_while_reasons_are_completed_is_served_before_the_next_one() -> None:
    reranker = Recorder(delay=0.05)
    job = Job(QUERY, red_images(*MANY), lambda: (reranker, ScoringOptions()), open_archive())
    while not job.status().explained:
        time.sleep(0.01)
    job.request_conditions([job.status().ranking[-1].index])
    while counts(job)[-1] < 2:
        time.sleep(0.01)
    assert job.status().explained < len(MANY)
    job.wait(20)
    assert (job.status().state, job.status().explained) == ("done", len(MANY))


def test_a_query_of_one_condition_is_not_scored_again() -> None:
    reranker = Recorder()
    job = run(reranker, red_images(40, 80), normalize_query("红色"))
    assert (len(reranker.passes), job.conditions, counts(job)) == (2, ("红色",), [0, 0])
    assert not job.can_score_conditions


def test_conditions_that_are_switched_off_are_scored_on_request_alone() -> None:
    job = run(FakeReranker(), red_images(40, 80), score_conditions=False)
    assert counts(job) == [0, 0]
    job.request_conditions([0])
    job.wait(20)
    assert counts(job) == [0, 2]


def test_an_image_that_cannot_be_scored_gets_no_conditions() -> None:
    job = run(FakeReranker(), [*red_images(40), library_image("b.png", b"not an image")])
    assert counts(job) == [2, 0]


def test_an_image_whose_file_has_changed_since_gets_no_conditions(tmp_path: Path) -> None:
    images = red_images(40, 80)
    file = tmp_path / "changing.png"
    file.write_bytes(images[0].source)
    job = run(FakeReranker(), [library_image("changing.png", file), images[1]], score_conditions=False)
    file.write_bytes(red_images(200)[0].source)
    job.request_conditions([0, 1])
    job.wait(20)
    assert counts(job) == [2, 0]


def test_a_stop_keeps_the_ranking_and_what_was_stopped_can_be_requested_again() -> None:
    reranker = FakeReranker(delay=0.02)
    job = Job(QUERY, red_images(*MANY), lambda: (reranker, ScoringOptions()), open_archive())
    while not job.status().condition_scores:
        time.sleep(0.005)
    job.stop()
    job.wait(20)
    assert (job.status().state, counts(job)[CONDITIONS_TOP - 1]) == ("done", 0)
    job.request_conditions(list(range(len(MANY))))
    job.wait(20)
    assert counts(job) == [2] * len(MANY)


def test_a_model_that_can_no_longer_be_loaded_leaves_the_ranking_as_it_is() -> None:
    opened = iter([(FakeReranker(), ScoringOptions())])

    def open_once() -> tuple[FakeReranker, ScoringOptions]:
        for reranker in opened:
            return reranker
        raise CheckpointError("The weights are gone.")

    job = Job(QUERY, red_images(40, 80), open_once, open_archive(), score_conditions=False)
    job.wait(20)
    job.request_conditions([0])
    job.wait(20)
    status = job.status()
    assert (status.state, status.done, str(status.error)) == ("done", 2, "The weights are gone.")


def test_conditions_are_not_scored_by_another_model_than_the_ranking() -> None:
    rerankers = iter([(FakeReranker(), ScoringOptions()), (FakeReranker(), ScoringOptions(fit="whole"))])
    job = Job(QUERY, red_images(40, 80), lambda: next(rerankers), open_archive(), score_conditions=False)
    job.wait(20)
    job.request_conditions([0])
    job.wait(20)
    assert (counts(job), str(job.status().error)) == (
        [0, 0],
        "Another model is in use now. Rank again to score conditions with it.",
    )


def test_conditions_are_found_again_after_a_restart() -> None:
    job = run(FakeReranker(), red_images(*MANY))
    saved = saved_rankings(open_archive())[-1]
    assert saved.conditions == job.conditions
    assert saved.status().ranking == job.status().ranking
    assert not saved.can_score_conditions


@pytest.mark.parametrize("groups", [(), ((0, 2), (1, 3))])
def test_near_duplicates_are_grouped_once_and_found_again(groups: tuple[tuple[int, ...], ...]) -> None:
    class Alike(FakeReranker):
        def near_duplicates(self, content_hashes: object, *, options: object) -> tuple[tuple[int, ...], ...]:
            return groups

    job = run(Alike(), red_images(40, 80, 120, 160))
    best_first = tuple(group[::-1] for group in groups)
    assert job.status().near_duplicates == best_first
    assert saved_rankings(open_archive())[-1].status().near_duplicates == best_first
