"""What all tabs share: one loaded model, rankings with their own options, and the warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lychee_rerank.errors import ModelError, QueryError
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.ui.state import AppState, Settings
from support.app_test import red
from support.fake_reranker import FakeReranker


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("the condition never came true")


def state_with_images(count: int = 1, load: Callable[[str, float], FakeReranker] | None = None) -> AppState:
    state = AppState(load or (lambda model, reserve_gib: FakeReranker()))
    state.library.add((f"{number}.png", red(10 * number)) for number in range(count))
    wait_until(lambda: not state.library.waiting)
    return state


def rank(state: AppState, settings: Settings, query: str = "红色") -> None:
    state.start(query, settings)
    state.job.wait(20)


def test_two_rankings_in_a_row_have_their_own_options_and_share_the_reranker() -> None:
    state = state_with_images()
    rank(state, Settings(method="generate", fit="crop"))
    reranker = state.reranker
    rank(state, Settings(method="yes_no", fit="whole", instruction=" Find cats. ", normalize=False))
    assert state.reranker is reranker
    first, second = reranker.options_of_rankings
    assert (first.method, first.fit, first.instruction) == ("generate", "crop", DEFAULT_INSTRUCTION)
    assert (second.method, second.fit, second.instruction) == ("yes_no", "whole", "Find cats.")
    assert [job.status().ranking[0].method for job in state.jobs] == ["generate", "yes_no"]


def test_a_ranking_keeps_its_options_when_another_with_other_settings_starts() -> None:
    state = state_with_images(30, lambda model, reserve_gib: FakeReranker(delay=0.005))
    state.start("红色", Settings(method="generate"))
    first = state.job
    wait_until(lambda: first.status().done > 0)
    state.start("红色", Settings(method="yes_no"))
    for job in state.jobs:
        job.wait(20)
    assert {result.method for result in first.status().ranking} == {"generate"}
    assert {result.method for result in state.job.status().ranking} == {"yes_no"}


def test_the_automatic_method_is_that_of_the_loaded_model() -> None:
    class YesNoModel(FakeReranker):
        method = "yes_no"

    state = state_with_images(load=lambda model, reserve_gib: YesNoModel())
    rank(state, Settings())
    assert state.reranker.options_of_rankings[0].method == "yes_no"


def test_the_model_is_loaded_again_where_model_or_reserve_changed() -> None:
    loaded: list[tuple[str, float]] = []

    def load(model: str, reserve_gib: float) -> FakeReranker:
        loaded.append((model, reserve_gib))
        return FakeReranker()

    state = state_with_images(load=load)
    for settings in (Settings(), Settings(fit="whole"), Settings("demo"), Settings("demo", reserve_gib=2.0)):
        rank(state, settings)
    assert loaded == [("auto", 1.2), ("demo", 1.2), ("demo", 2.0)]


def test_a_model_that_does_not_exist_leaves_the_loaded_one_in_place() -> None:
    state = state_with_images()
    rank(state, Settings())
    reranker = state.reranker
    rank(state, Settings("/no/such/folder"))
    assert state.job.status().state == "failed"
    assert state.reranker is reranker


def test_an_unusable_query_leaves_the_running_ranking_alone() -> None:
    state = state_with_images(20, lambda model, reserve_gib: FakeReranker(delay=0.02))
    state.start("红色", Settings())
    with pytest.raises(QueryError):
        state.start("。", Settings())
    state.job.wait(20)
    assert state.job.status().done == 20


def test_twelve_rankings_are_kept() -> None:
    state = state_with_images()
    for number in range(14):
        rank(state, Settings(), f"红色 {number}")
    assert [job.query.text for job in state.jobs] == [f"红色 {number}" for number in range(2, 14)]


def test_clear_stops_the_ranking_and_clears_the_models_caches() -> None:
    state = state_with_images(50, lambda model, reserve_gib: FakeReranker(delay=0.02))
    state.start("红色", Settings())
    job = state.job
    wait_until(lambda: job.status().done > 0)
    state.clear()
    job.wait(20)
    assert job.status().state == "stopped"
    assert (state.jobs, state.library.images(), state.reranker.cleared) == ([], [], 1)


def test_new_images_are_encoded_while_the_person_is_typing() -> None:
    state = state_with_images(3)
    state.warm_up(Settings())
    wait_until(lambda: state.reranker is not None and state.reranker.encoded == 3)
    state._warm_up_thread.join(10)
    state.warm_up(Settings())
    assert state.reranker.encoded == 3
    assert not state._warm_up_thread.is_alive()


def test_without_images_nothing_is_loaded() -> None:
    state = AppState(lambda model, reserve_gib: pytest.fail("loaded"))
    state.warm_up(Settings())
    assert state._warm_up_thread is None


def test_a_warm_up_that_fails_is_logged_and_the_ranking_shows_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def load(model: str, reserve_gib: float) -> FakeReranker:
        raise ModelError("The driver is too old.")

    state = state_with_images(load=load)
    state.warm_up(Settings())
    state._warm_up_thread.join(10)
    assert "The driver is too old." in caplog.text
    rank(state, Settings())
    assert str(state.job.status().error) == "The driver is too old."


def test_a_new_start_finds_images_and_rankings_and_scores_nothing_again() -> None:
    state = state_with_images(3)
    for query in ("红色", "蓝色"):
        rank(state, Settings(), query)
    again = state_with_images(0)
    assert [image.name for image in again.library.images()] == ["0.png", "1.png", "2.png"]
    assert [job.query.text for job in again.jobs] == ["红色", "蓝色"]
    assert [job.status().ranking for job in again.jobs] == [job.status().ranking for job in state.jobs]
    assert not again.busy
    rank(again, Settings())
    assert again.reranker.scored == 0
    assert again.job.status().ranking == state.jobs[0].status().ranking


def test_clear_deletes_what_is_kept_of_images_and_rankings_but_no_scores() -> None:
    state = state_with_images(3)
    rank(state, Settings())
    state_with_images(0).clear()  # after a new start
    again = state_with_images(3)
    assert (again.jobs, len(again.library.images())) == ([], 3)
    rank(again, Settings())
    assert again.reranker.scored == 0


def test_everything_kept_can_be_deleted_while_a_ranking_runs() -> None:
    state = state_with_images(50, lambda model, reserve_gib: FakeReranker(delay=0.02))
    state.start("红色", Settings())
    job = state.job
    wait_until(lambda: job.status().done > 0)
    state.delete_all()
    assert (state.jobs, state.library.images(), state.archive.store.count()) == ([], [], 0)
    assert not job.status().active
    again = state_with_images(2)
    rank(again, Settings())
    assert again.reranker.scored == 2
