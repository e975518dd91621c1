"""Speed and memory, measured beside plain transformers with the same weights and images in the same run.

Neither depends on what the weights are, so they can be random, in the shapes of the real models.
"""

from __future__ import annotations

import copy
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.random_weights import SIZES, build_random_model
from lychee_rerank.devices.memory import GIB, memory_usage
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ScoringMethod
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint, find_checkpoint

Implementation = Literal["lychee", "transformers"]
METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")
QUERIES = ("红色的气球和一只猫", "a blue umbrella on the beach")
IMAGES_PER_READING = 50


@dataclass(frozen=True)
class Latency:
    """Milliseconds an image, decoding its file included.

    first_ms: the first image of a query, for which the prompt is prefilled too.
    warm_ms: median of the query's other images.
    cached_ms: median for a second query over the same images, whose features are cached.
    passes: forward passes of the decoder for each image.
    """

    implementation: Implementation
    method: ScoringMethod
    first_ms: float
    warm_ms: float
    cached_ms: float
    passes: float


@dataclass(frozen=True)
class MemoryReading:
    """GiB in use on the first GPU, or by this process where there is none, after this many images."""

    images: int
    used: float
    peak: float


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured, on which machine, with which model."""

    machine: str
    model: str
    dtype: str
    images: int
    new_tokens: int
    torch: str
    latencies: tuple[Latency, ...]
    memory: tuple[MemoryReading, ...]

    def speedup(self, method: ScoringMethod, column: Literal["first_ms", "warm_ms", "cached_ms"]) -> float:
        """How many times faster than plain transformers."""
        latency = {entry.implementation: entry for entry in self.latencies if entry.method == method}
        return float(getattr(latency["transformers"], column) / getattr(latency["lychee"], column))


def bench(
    model: str = "demo",
    *,
    size: str | None = None,
    dtype: str = "bfloat16",
    images: int = 20,
    new_tokens: int = 12,
    memory_images: int = 0,
) -> BenchmarkResult:
    """Measure both methods in both implementations, over at least 3 `images`, with answers of `new_tokens`.

    `size` (a key of `SIZES`) takes random weights instead of a checkpoint. Afterwards `memory_images` are scored, and
    memory is read after every 50. Raises CheckpointError, ModelError.
    """
    checkpoint = _random_checkpoint(size) if size else find_checkpoint(model)
    loaded = build_random_model(size, dtype) if size else load_model(checkpoint.path, dtype=dtype)[0]
    files = list(random_photos(images))
    latencies = [entry for method in METHODS for entry in _compare(loaded, checkpoint, method, files, new_tokens)]
    memory = tuple(_read_memory(_reranker(loaded, checkpoint, "yes_no", new_tokens), memory_images))
    return BenchmarkResult(
        _machine(), checkpoint.name, dtype, images, new_tokens, torch.__version__, tuple(latencies), memory
    )


def random_photos(count: int) -> Iterator[bytes]:
    """JPEG files of 1200 x 900 pixels, no two alike."""
    for seed in range(count):
        colors = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(colors).resize((1200, 900), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        yield file.getvalue()


def _random_checkpoint(size: str) -> Checkpoint:
    return Checkpoint(DEMO_FOLDER, f"random weights in the {SIZES[size].title} shapes", "argument")


def _compare(
    model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, files: list[bytes], new_tokens: int
) -> Iterator[Latency]:
    yield _measure("lychee", method, model, _reranker(model, checkpoint, method, new_tokens).stream, files)
    with TransformersBaseline(model, method, new_tokens) as baseline:
        yield _measure("transformers", method, model, baseline.stream, files)


def _measure(
    implementation: Implementation,
    method: ScoringMethod,
    model: VisionLanguageModel,
    stream: Callable[..., Iterable[object]],
    files: list[bytes],
) -> Latency:
    for _ in stream(QUERIES[1], files[:1]):  # warm-up, as right after loading
        model.clear_cache()
    passes: list[None] = []
    hook = model.model.model.language_model.register_forward_hook(lambda *_: passes.append(None))
    first, *warm = _intervals_ms(stream(QUERIES[0], files))
    _, *cached = _intervals_ms(stream(QUERIES[1], files))
    hook.remove()
    passes_per_image = len(passes) / 2 / len(files)
    return Latency(implementation, method, first, statistics.median(warm), statistics.median(cached), passes_per_image)


def _intervals_ms(results: Iterable[object]) -> list[float]:
    """Milliseconds between one result and the next, as a person who waits for them sees it."""
    times = [time.perf_counter(), *(time.perf_counter() for _ in results)]
    return [1000 * (after - before) for before, after in pairwise(times)]


def _reranker(model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, new_tokens: int) -> Reranker:
    """With answers cut to `new_tokens`: a model with random weights never generates a score, after which it stops."""
    backend = copy.copy(model)
    backend.generate = partial(model.generate, max_new_tokens=new_tokens)  # type: ignore[method-assign]
    return Reranker(backend, checkpoint=checkpoint, options=ScoringOptions(method))


def _read_memory(reranker: Reranker, images: int) -> Iterator[MemoryReading]:
    for result in reranker.stream(QUERIES[0], random_photos(images)):
        if (result.index + 1) % IMAGES_PER_READING == 0:
            device = memory_usage()[0]
            yield MemoryReading(result.index + 1, device.used / GIB, device.peak / GIB)


def _machine() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    cpu = next(names, platform.processor() or platform.machine())
    return f"{cpu}, {torch.get_num_threads()} thread(s)"
