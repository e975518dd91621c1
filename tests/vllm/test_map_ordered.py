"""map_ordered: order, laziness and errors. With a reranker on top it is tested in test_reranker."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lychee_rerank.vllm.map_ordered import map_ordered


def test_results_keep_the_order_of_the_items_however_long_each_takes() -> None:
    first_may_end = threading.Event()

    def first_ends_last(number: int) -> int:
        if number == 0:
            first_may_end.wait(10)
        else:
            first_may_end.set()
        return number

    assert list(map_ordered(first_ends_last, range(4), max_concurrency=2)) == [0, 1, 2, 3]


def test_items_are_pulled_lazily_and_a_closed_map_pulls_no_more() -> None:
    pulled = []

    def endless() -> Iterator[int]:
        while True:
            pulled.append(1)
            yield 1

    results = map_ordered(lambda number: number, endless(), max_concurrency=3)
    assert next(results) == 1
    results.close()
    assert len(pulled) <= 6


def test_what_a_call_raises_is_raised_in_its_turn() -> None:
    results = map_ordered(lambda number: 1 // number, [1, 0], max_concurrency=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
