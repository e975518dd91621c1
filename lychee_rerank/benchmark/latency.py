"""The time that ways of scoring take, as a person who waits for the results sees it.

They take turns, so that what else the machine does slows all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from lychee_rerank.results import ScoringMethod

QUERIES = ("红色的气球和一只猫", "a blue umbrella on the beach")


@dataclass(frozen=True, eq=False)
class Implementation:
    """One way to score images: `stream(query, files)` yields a score from 0 to 10 for each file, in the order given.

    batch_size: how many images are scored together, or are in flight. is_peer: may fail, and is then left out.
    context: entered before its turn. clear_cache: forgets all queries and images.
    count_passes: forward passes of the decoder so far, where they can be counted.
    """

    name: str
    stream: Callable[[str, Sequence[bytes]], Iterable[float]]
    batch_size: int = 1
    is_peer: bool = False
    context: AbstractContextManager[object] = nullcontext()
    clear_cache: Callable[[], None] = lambda: None  # noqa: E731
    count_passes: Callable[[], int] = lambda: 0  # noqa: E731


@dataclass(frozen=True)
class Latency:
    """Milliseconds an image, decoding its file included.

    score_difference: the largest difference from a score of the reference; scores go from 0 to 10.
    first_ms: until the first result of a query over images not seen before; median of the rounds.
    warm_ms: median of the other images; where several are scored at once, that of a query's time divided by its images.
    cached_ms: the same for a second query over the same images, whose features may be cached.
    passes: forward passes of the decoder for each image; None where they are not counted.
    """

    implementation: str
    method: ScoringMethod
    batch_size: int
    score_difference: float
    first_ms: float
    warm_ms: float
    cached_ms: float
    passes: float | None

    @property
    def label(self) -> str:
        """The implementation's name, with its batch size where that is not one."""
        return self.implementation if self.batch_size == 1 else f"{self.implementation}, {self.batch_size} at once"


@dataclass(frozen=True)
class Turn:
    """Scores of a first query, the milliseconds that each result of it and of a second query came after the one before,
    and forward passes of the decoder in both.
    """

    scores: list[float]
    first_query: list[float]
    second_query: list[float]
    passes: int


def compare(
    implementations: Sequence[Implementation],
    reference: Implementation,
    method: ScoringMethod,
    rounds: Sequence[Sequence[bytes]],
) -> list[Latency | str]:
    """The latency of each implementation in the order given; for a peer that failed, a sentence.

    In every round each of them scores the same files, which no other round has: a server keeps what it has seen, and
    cannot be told to forget it. The first round warms up.
    """
    turns: dict[Implementation, list[Turn]] = {implementation: [] for implementation in implementations}
    failed: dict[Implementation, str] = {}
    for index, files in enumerate(rounds):
        start = index % len(implementations)  # so that none always follows the same other, which may still be busy
        for implementation in (*implementations[start:], *implementations[:start]):
            if implementation in failed:
                continue
            try:
                turns[implementation].append(_take_turn(implementation, index, files))
            except Exception as error:  # a peer may raise anything
                if not implementation.is_peer:
                    raise
                failed[implementation] = left_out(implementation.name, method, error)
    expected = [score for turn in turns[reference][1:] for score in turn.scores]
    return [
        failed.get(implementation) or _summarize(implementation, method, turns[implementation][1:], expected)
        for implementation in implementations
    ]


def left_out(name: str, method: ScoringMethod, error: Exception) -> str:
    """One sentence about a peer that failed."""
    reason = str(error).partition("\n")[0]
    return f"{name} is left out of {method}: {reason}"


def _take_turn(implementation: Implementation, index: int, files: Sequence[bytes]) -> Turn:
    with implementation.context:
        implementation.clear_cache()
        passes = implementation.count_passes()
        scores, first = _time(implementation, f"{QUERIES[0]} {index}", files)
        _, second = _time(implementation, f"{QUERIES[1]} {index}", files)
        return Turn(scores, first, second, implementation.count_passes() - passes)


def _time(implementation: Implementation, query: str, files: Sequence[bytes]) -> tuple[list[float], list[float]]:
    """The scores, and the milliseconds that each came after the one before."""
    scores, times = [], [time.perf_counter()]
    for score in implementation.stream(query, files):
        scores.append(score)
        times.append(time.perf_counter())
    return scores, [1000 * (after - before) for before, after in pairwise(times)]


def _summarize(
    implementation: Implementation, method: ScoringMethod, turns: Sequence[Turn], expected: Sequence[float]
) -> Latency:
    scores = [score for turn in turns for score in turn.scores]
    return Latency(
        implementation.name,
        method,
        implementation.batch_size,
        float(np.abs(np.subtract(scores, expected)).max()),  # NaN, if there is one
        statistics.median(turn.first_query[0] for turn in turns),
        _typical_ms([turn.first_query for turn in turns], implementation.batch_size),
        _typical_ms([turn.second_query for turn in turns], implementation.batch_size),
        sum(turn.passes for turn in turns) / 2 / len(scores) or None,
    )


def _typical_ms(queries: Sequence[Sequence[float]], batch_size: int) -> float:
    if batch_size > 1:
        return statistics.median(statistics.mean(intervals) for intervals in queries)
    return statistics.median(chain.from_iterable(intervals[1:] for intervals in queries))
