"""Ratios of times, and which peers count."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from support.benchmark_results import RESULT, latency


def test_speed_is_compared_with_plain_transformers() -> None:
    assert RESULT.speedup("yes_no", "first_ms") == pytest.approx(2)
    assert RESULT.speedup("yes_no", "cached_ms") == pytest.approx(8)


def test_speed_is_compared_with_the_fastest_peer_of_equal_scores() -> None:
    assert RESULT.peer_speedup("yes_no", "warm_ms") == pytest.approx(1.5)  # not with vllm, which is faster but differs
    assert RESULT.peer_speedup("generate", "warm_ms") is None


@pytest.mark.parametrize(("difference", "differs"), [(0.0, False), (0.001, False), (0.002, True), (math.nan, True)])
def test_other_scores_are_those_beyond_the_bound(difference: float, differs: bool) -> None:
    assert replace(RESULT, max_score_difference=0.001).differs(latency("vllm", 1, difference=difference)) is differs
