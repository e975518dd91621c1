"""What the conditions of a query cost: `Reranker.conditions` beside scoring the same images once for each, anew."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lychee_rerank.benchmark.implementations import our_reranker, own_implementations
from lychee_rerank.benchmark.latency import Implementation
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.benchmark.result import ConditionsLatency
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ScoringMethod
from lychee_rerank.weights.locate import Checkpoint

CONDITIONS = ("a red balloon", "a blue umbrella", "a black cat", "a sunny beach")
QUERY = ", ".join(CONDITIONS)
IMAGES = 12


def measure_conditions(
    model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, new_tokens: int, *, rounds: int = 5
) -> ConditionsLatency:
    """All ways one after the other, `rounds` times after one round to warm up."""
    reranker = our_reranker(model, checkpoint, method, new_tokens)
    *_, plain = own_implementations(model, checkpoint, method, new_tokens, lambda: 0)
    photos = list(random_photos(IMAGES))
    times, differences = [], []
    for _ in range(1 + rounds):
        reranker.clear_cache()
        cold_ms, _ = _time(lambda: _by_conditions(reranker, photos))
        anew_ms, expected = _time(lambda: _anew(reranker, photos))
        reranker.rank(QUERY, photos)
        kept_ms, scores = _time(lambda: _by_conditions(reranker, photos))
        plain_ms, _ = _time(lambda: _plainly(plain, photos))
        times.append((kept_ms, cold_ms, anew_ms, plain_ms, kept_ms / anew_ms))
        differences.append(float(np.abs(np.subtract(scores, expected)).max()))
    kept_ms, cold_ms, anew_ms, plain_ms, ratio = map(statistics.median, zip(*times[1:], strict=True))
    return ConditionsLatency(method, kept_ms, cold_ms, anew_ms, plain_ms, ratio, max(differences))


def _time(work: Callable[[], Iterable[float]]) -> tuple[float, list[float]]:
    """Milliseconds, and what came out."""
    start = time.perf_counter()
    scores = list(work())
    return 1000 * (time.perf_counter() - start), scores


def _by_conditions(reranker: Reranker, photos: Sequence[bytes]) -> Iterable[float]:
    """Scores by condition and then by image, as all ways give them."""
    rows = [reranker.conditions(QUERY, photo) for photo in photos]
    return (entry.score for column in zip(*rows, strict=True) for entry in column)


def _anew(reranker: Reranker, photos: Sequence[bytes]) -> Iterable[float]:
    for condition in CONDITIONS:
        reranker.clear_cache()
        yield from (result.score for result in reranker.stream(condition, photos))


def _plainly(plain: Implementation, photos: Sequence[bytes]) -> Iterable[float]:
    with plain.context:
        for condition in CONDITIONS:
            yield from plain.stream(condition, photos)
