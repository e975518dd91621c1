"""A result of the benchmark as it would be measured, with one peer that gives other scores."""

from __future__ import annotations

from lychee_rerank.benchmark.latency import Latency
from lychee_rerank.benchmark.result import BenchmarkResult, MemoryReading
from lychee_rerank.results import ScoringMethod


def latency(
    implementation: str, factor: float, *, method: ScoringMethod = "yes_no", batch: int = 1, difference: float = 0.0
) -> Latency:
    """10 ms for every image; `factor` times that for this implementation, where it has no cached features."""
    cached = 10 * factor if implementation != "lychee" else 2.5
    return Latency(implementation, method, batch, difference, 10 * factor, 10 * factor, cached, None)


RESULT = BenchmarkResult(
    machine="a machine",
    model="demo",
    dtype="float32",
    images=8,
    new_tokens=12,
    torch="2.15.0",
    latencies=(
        latency("lychee", 1),
        latency("transformers", 2),
        latency("sentence-transformers", 1.8),
        latency("sentence-transformers", 1.5, batch=8),
        latency("vllm", 0.5, batch=8, difference=0.42),
        latency("lychee", 1, method="generate"),
        latency("transformers", 2, method="generate"),
    ),
    memory=(MemoryReading(50, 1.25, 1.5),),
    max_score_difference=0.001,
    left_out=("vllm is left out of generate: it is gone",),
)
