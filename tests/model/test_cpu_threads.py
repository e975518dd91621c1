"""The threads that a model on the CPU scores with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lychee_rerank.model import cpu_threads
from lychee_rerank.model.cpu_threads import choose_thread_count
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel


@pytest.fixture(autouse=True)
def restored_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(checkpoint: Path) -> VisionLanguageModel:
    return load_model(checkpoint, dtype="float32")[0]


def choose(monkeypatch: pytest.MonkeyPatch, milliseconds: Mapping[int, float]) -> tuple[int, list[int]]:
    """The choice on eight cores, where an image takes so long with so many threads; and what was measured."""
    measured: list[int] = []

    def measure(_model: object, _photo: bytes, threads: int) -> float:
        measured.append(threads)
        return milliseconds[threads]

    monkeypatch.setattr(cpu_threads, "_ALL_CORES", 8)
    monkeypatch.setattr(cpu_threads, "_seconds_an_image", measure)
    small: Any = SimpleNamespace(model=SimpleNamespace(num_parameters=lambda: 8_000_000))
    return choose_thread_count(small), measured


def test_all_cores_are_taken_where_they_help(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, {8: 10, 4: 18}) == (8, [8, 4])


def test_one_thread_is_taken_where_threads_hinder_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, {8: 90, 4: 50, 2: 20, 1: 15}) == (1, [8, 4, 2, 1])


def test_fewer_threads_win_where_more_help_little(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, {8: 10, 4: 11, 2: 12, 1: 13})[0] == 2


def test_a_small_loss_at_every_step_does_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, {8: 10, 4: 11.4, 2: 13, 1: 14.8})[0] == 4


def test_a_large_model_gets_all_cores_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_threads, "_seconds_an_image", lambda *_: pytest.fail("it was measured"))
    large: Any = SimpleNamespace(model=SimpleNamespace(num_parameters=lambda: 8_000_000_000))
    assert choose_thread_count(large) == cpu_threads._ALL_CORES


def test_what_the_person_set_stands(monkeypatch: pytest.MonkeyPatch, model: VisionLanguageModel) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(cpu_threads, "_ALL_CORES", 3)
    assert choose_thread_count(model) == 3


def test_a_measurement_scores_real_images_and_leaves_nothing_cached(model: VisionLanguageModel) -> None:
    assert 0 < cpu_threads._seconds_an_image(model, cpu_threads._photo(), threads=1) < 10
    assert not model._prefixes
    assert not model._image_features


def test_a_loaded_model_says_how_many_it_uses(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_threads, "choose_thread_count", lambda _: 1)
    loaded, plan = load_model(checkpoint, dtype="float32")
    assert (loaded.threads, plan.threads) == (1, 1)
    assert plan.summary.endswith("in float32, 1 thread")


def test_the_threads_are_set_in_the_thread_that_scores(model: VisionLanguageModel) -> None:
    model.threads = 3
    counts: list[int] = []

    def score() -> None:
        torch.set_num_threads(2)
        with model._inference():
            counts.append(torch.get_num_threads())

    thread = Thread(target=score)
    thread.start()
    thread.join()
    assert counts == [3]
