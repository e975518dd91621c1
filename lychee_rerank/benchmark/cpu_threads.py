"""The threads that are chosen on a CPU, measured beside fixed settings, on a quiet machine and beside a busy core.

Run as a module it measures one setting: how threads wait is settled when torch is imported, so each has a process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CHOSEN = "chosen"
_ALL_CORES = str(os.cpu_count())
_SETTINGS: dict[str, dict[str, str]] = {
    CHOSEN: {},
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "all cores, sleeping": {"OMP_NUM_THREADS": _ALL_CORES, "OMP_WAIT_POLICY": "PASSIVE"},
    "all cores, torch's default": {"OMP_NUM_THREADS": _ALL_CORES},
}
_ROUNDS = 5


@dataclass(frozen=True)
class ThreadsLatency:
    """Milliseconds an image, its decoding included; medians of `_ROUNDS` queries.

    busy: whether another process kept a core busy. first_ms: over images not seen before. cached_ms: with their
    features cached.
    """

    setting: str
    busy: bool
    first_ms: float
    cached_ms: float


def measure_threads(model: str, dtype: str, images: int) -> Iterator[ThreadsLatency]:
    """Every setting, quiet and then busy. Raises CalledProcessError where a process fails."""
    for setting in _SETTINGS:
        yield ThreadsLatency(setting, False, *_measure_in_process(model, dtype, images, setting))
    with _busy_core():
        for setting in _SETTINGS:
            yield ThreadsLatency(setting, True, *_measure_in_process(model, dtype, images, setting))


@contextmanager
def _busy_core() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _measure_in_process(model: str, dtype: str, images: int, setting: str) -> tuple[float, float]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    }
    output = subprocess.run(
        [sys.executable, "-m", __name__, model, dtype, str(images), setting],
        env=inherited | _SETTINGS[setting],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    first_ms, cached_ms = json.loads(output)
    return first_ms, cached_ms


def _measure(model: str, dtype: str, images: int, setting: str) -> tuple[float, float]:
    if setting != CHOSEN:
        import torch  # noqa: F401  (before anything of this package can tell its threads to sleep)
    from lychee_rerank.benchmark.photos import random_photos
    from lychee_rerank.reranker import Reranker

    reranker = Reranker.from_pretrained(model, method="yes_no", dtype=dtype, device_map="cpu")
    photos = list(random_photos(images))

    def milliseconds(query: str) -> float:
        start = time.perf_counter()
        list(reranker.stream(query, photos))
        return 1000 * (time.perf_counter() - start) / images

    first, cached = [], []
    for number in range(1 + _ROUNDS):
        reranker.clear_cache()
        first.append(milliseconds(f"a red umbrella {number}"))
        cached.append(milliseconds(f"a blue umbrella {number}"))
    return statistics.median(first[1:]), statistics.median(cached[1:])


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
