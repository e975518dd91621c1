"""Implementations take turns; times are medians over rounds; scores are compared; peers may fail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from lychee_rerank.benchmark import latency
from lychee_rerank.benchmark.latency import Implementation, Latency, compare

ROUNDS = [[b"warm-up"], [b"a1", b"a2", b"a3"], [b"b1", b"b2", b"b3"], [b"c1", b"c2", b"c3"]]
MILLISECONDS = {"w": (900,), "a": (50, 20, 30), "b": (90, 20, 30), "c": (60, 26, 40)}


class Timed:
    """Takes `MILLISECONDS` for each image, half of it for a second query; scores every image 5."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, str, Sequence[bytes]]] = []
        monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def implementation(self, name: str, score: float = 5.0, **options: Any) -> Implementation:
        def stream(query: str, files: Sequence[bytes]) -> Iterator[float]:
            is_second = bool(self.calls) and self.calls[-1][::2] == (name, files)
            self.calls.append((name, query, files))
            for milliseconds in MILLISECONDS[chr(files[0][0])]:
                self.now += milliseconds / (2000 if is_second else 1000)
                yield score

        return Implementation(name, stream, **options)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    return Timed(monkeypatch)


def entry(implementation: Implementation, reference: Implementation) -> Latency:
    *_, result = compare([reference, implementation], reference, "yes_no", ROUNDS)
    assert isinstance(result, Latency)
    return result


def test_times_are_medians_of_all_rounds_but_the_first(timed: Timed) -> None:
    result = entry(timed.implementation("ours"), timed.implementation("plain"))
    assert (result.first_ms, result.warm_ms, result.cached_ms) == pytest.approx((60, 28, 14))


def test_in_batches_the_time_of_a_query_is_divided_by_its_images(timed: Timed) -> None:
    result = entry(timed.implementation("ours", batch_size=8), timed.implementation("plain"))
    assert (result.first_ms, result.warm_ms, result.cached_ms) == pytest.approx((60, 42, 21))
    assert result.label == "ours, 8 at once"


def test_all_take_turns_with_the_same_images_and_with_queries_that_no_other_round_has(timed: Timed) -> None:
    entry(timed.implementation("ours"), timed.implementation("plain"))
    turns = [(name, files) for name, _, files in timed.calls[::2]]
    assert [(name, files) for name, _, files in timed.calls[1::2]] == turns
    order = ("plain", "ours", "ours", "plain") * 2  # another begins each round
    assert turns == list(zip(order, [files for files in ROUNDS for _ in range(2)], strict=True))
    assert len({query for _, query, _ in timed.calls}) == 2 * len(ROUNDS)


def test_each_turn_begins_in_its_context_and_with_nothing_cached(timed: Timed) -> None:
    events: list[str] = []

    class Context:
        def __enter__(self) -> None:
            events.append("enter")

        def __exit__(self, *_: object) -> None:
            events.append("exit")

    ours = timed.implementation("ours", context=Context(), clear_cache=lambda: events.append("clear"))
    entry(ours, timed.implementation("plain"))
    assert events == ["enter", "clear", "exit"] * len(ROUNDS)


def test_the_largest_difference_of_a_score_is_told(timed: Timed) -> None:
    plain = timed.implementation("plain")
    assert entry(timed.implementation("ours", 5.5), plain).score_difference == pytest.approx(0.5)
    assert entry(timed.implementation("ours"), plain).score_difference == 0
    assert math.isnan(entry(timed.implementation("ours", math.nan), plain).score_difference)


def test_passes_are_counted_for_each_image(timed: Timed) -> None:
    plain = timed.implementation("plain")
    passes = iter(range(0, 100, 12))
    assert entry(timed.implementation("ours", count_passes=lambda: next(passes)), plain).passes == 2
    assert entry(timed.implementation("ours"), plain).passes is None


def test_a_peer_that_fails_is_left_out_with_a_sentence_and_the_others_go_on(timed: Timed) -> None:
    def fail_later(query: str, files: Sequence[bytes]) -> Iterator[float]:
        if files == ROUNDS[2]:
            raise RuntimeError("no pictures today\nat all")
        yield from (5.0 for _ in files)

    plain = timed.implementation("plain")
    first, second, third = compare(
        [plain, Implementation("peer", fail_later, is_peer=True), timed.implementation("other")],
        plain,
        "yes_no",
        ROUNDS,
    )
    assert second == "peer is left out of yes_no: no pictures today"
    assert isinstance(first, Latency) and isinstance(third, Latency)
    with pytest.raises(RuntimeError, match="no pictures today"):
        compare([plain, Implementation("ours", fail_later)], plain, "yes_no", ROUNDS)
