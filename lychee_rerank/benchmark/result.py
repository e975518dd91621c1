"""What `bench` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lychee_rerank.benchmark.cpu_threads import ThreadsLatency
from lychee_rerank.benchmark.latency import Latency
from lychee_rerank.results import ScoringMethod

Column = Literal["first_ms", "warm_ms", "cached_ms"]
OURS, PLAIN = "lychee", "transformers"
WITHOUT_GRAPHS = f"{OURS}, without CUDA graphs"
# Beyond it an implementation computes something else. Another order of sums moves a score (0 to 10) by 1e-5 in float32;
# in BF16, plain transformers itself is up to 0.4 away from float32.
MAX_SCORE_DIFFERENCE = {"float32": 0.001, "bfloat16": 0.5}


@dataclass(frozen=True)
class MemoryReading:
    """GiB in use on the first GPU, or by this process where there is none, after this many images."""

    images: int
    used: float
    peak: float


@dataclass(frozen=True)
class ConditionsLatency:
    """Milliseconds for scoring 12 images against each of four conditions, decoding included; medians of the rounds.

    kept_ms: by `Reranker.conditions` after a ranking of the images, whose features are cached. cold_ms: the same with
    nothing cached. anew_ms: by a query for each condition, with nothing cached before each. plain_ms: by the same
    queries with plain transformers. ratio: kept_ms / anew_ms in the same round.
    score_difference: the largest one between the scores of those two, which go from 0 to 10.
    """

    method: ScoringMethod
    kept_ms: float
    cold_ms: float
    anew_ms: float
    plain_ms: float
    ratio: float
    score_difference: float


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured, on which machine, with which model.

    max_score_difference: what scores may differ by from those of plain transformers.
    left_out: one sentence for each peer that could not be measured.
    """

    machine: str
    model: str
    dtype: str
    images: int
    new_tokens: int
    torch: str
    latencies: tuple[Latency, ...]
    memory: tuple[MemoryReading, ...]
    max_score_difference: float
    left_out: tuple[str, ...]
    threads: tuple[ThreadsLatency, ...] = ()
    conditions: tuple[ConditionsLatency, ...] = ()

    def differs(self, entry: Latency) -> bool:
        """Whether an implementation gave other scores than plain transformers, NaN included."""
        return not entry.score_difference <= self.max_score_difference

    def speedup(self, method: ScoringMethod, column: Column) -> float:
        """How many times faster than plain transformers."""
        return self._speedup(method, column, lambda entry: entry.implementation == PLAIN) or 0.0

    def peer_speedup(self, method: ScoringMethod, column: Column) -> float | None:
        """How many times faster than the fastest peer with the same scores; None without one."""
        own = (OURS, WITHOUT_GRAPHS, PLAIN)
        return self._speedup(method, column, lambda entry: entry.implementation not in own and not self.differs(entry))

    def _speedup(self, method: ScoringMethod, column: Column, is_other: Callable[[Latency], bool]) -> float | None:
        entries = [entry for entry in self.latencies if entry.method == method]
        ours = next(float(getattr(entry, column)) for entry in entries if entry.implementation == OURS)
        others = [float(getattr(entry, column)) for entry in entries if is_other(entry)]
        return min(others) / ours if others else None
