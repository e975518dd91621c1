"""Speed and memory: the engine beside the plain loop, on the same weights and pictures, in the same run.

The plain loop is what one writes after reading the model card: open the picture, template, processor, whole forward
pass or `generate()`, nothing reused. Speed and memory do not depend on what the weights say, so they can be random, in
the shapes of the real models and made right on the device.
"""

from __future__ import annotations

import io
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.random_weights import SIZES, build_random_model
from lychee_rerank.devices.memory import GIB, memory_usage
from lychee_rerank.model.backend import ScoringBackend
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ScoringMethod
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint, find_checkpoint

Implementation = Literal["engine", "plain"]
METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")
QUERIES = ("红色的气球和一只猫", "a blue umbrella on the beach")
PICTURES_BETWEEN_READINGS = 50


@dataclass(frozen=True)
class Latency:
    """Milliseconds a picture, decoding included: the first of a query (which reads the prompt too), the median of the
    others, and the median for a second query over the same pictures. `passes` counts the language model's forward
    passes a picture.
    """

    way: Implementation
    method: ScoringMethod
    first: float
    later: float
    second_query: float
    passes: float


@dataclass(frozen=True)
class MemoryReading:
    """Gigabytes (2**30 bytes) in use after so many pictures: of the first GPU, or of this process."""

    pictures: int
    used: float
    peak: float


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured, where, and on what."""

    machine: str
    model: str
    dtype: str
    pictures: int
    new_tokens: int
    torch: str
    speeds: tuple[Latency, ...]
    memory: tuple[MemoryReading, ...]

    def ratio(self, method: ScoringMethod, column: Literal["first", "later", "second_query"] = "later") -> float:
        """How many times faster the engine is than the plain loop."""
        plain, engine = (
            next(speed for speed in self.speeds if (speed.way, speed.method) == (way, method))
            for way in ("plain", "engine")
        )
        return float(getattr(plain, column) / getattr(engine, column))


def bench(
    model: str = "demo",
    *,
    size: str | None = None,
    dtype: str = "bfloat16",
    pictures: int = 20,
    new_tokens: int = 12,
    memory_pictures: int = 0,
) -> BenchmarkResult:
    """Measure both methods, both ways. `size` (a key of `SIZES`) takes random weights instead of a checkpoint.

    At least 3 `pictures` are needed, since medians leave the first out. `memory_pictures` more are scored afterwards,
    and memory is read after every 50. Raises CheckpointError, ModelError.
    """
    checkpoint = _shapes(size) if size else find_checkpoint(model)
    loaded = build_random_model(size, dtype) if size else load_model(checkpoint.path, dtype=dtype)[0]
    sources = list(photographs(pictures))
    speeds = [speed for method in METHODS for speed in _both_ways(loaded, checkpoint, method, sources, new_tokens)]
    memory = tuple(_memory(_reranker(loaded, checkpoint, "yes_no", new_tokens), memory_pictures))
    return BenchmarkResult(
        _machine(), checkpoint.name, dtype, pictures, new_tokens, torch.__version__, tuple(speeds), memory
    )


def photographs(count: int) -> Iterator[bytes]:
    """JPEG files of 1200 x 900 pixels, no two alike."""
    for seed in range(count):
        colours = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(colours).resize((1200, 900), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        yield file.getvalue()


def _shapes(size: str) -> Checkpoint:
    return Checkpoint(DEMO_FOLDER, f"random weights in the {SIZES[size].title} shapes", "argument")


def _both_ways(
    model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, sources: list[bytes], new_tokens: int
) -> Iterator[Latency]:
    yield _speed("engine", method, model, _reranker(model, checkpoint, method, new_tokens).stream, sources)
    with TransformersBaseline(model, method, new_tokens) as plain:
        yield _speed("plain", method, model, plain.stream, sources)


def _speed(
    way: Implementation,
    method: ScoringMethod,
    model: VisionLanguageModel,
    stream: Callable[..., Iterable[object]],
    sources: list[bytes],
) -> Latency:
    for _ in stream(QUERIES[1], sources[:1]):  # warm-up, as the engine does right after loading
        model.clear_cache()
    passes = _Passes(model)
    first, *later = _milliseconds(stream(QUERIES[0], sources))
    second = _milliseconds(stream(QUERIES[1], sources))
    each = passes.stop() / 2 / len(sources)
    return Latency(way, method, first, statistics.median(later), statistics.median(second[1:]), each)


def _milliseconds(results: Iterable[object]) -> list[float]:
    """Between one result and the next, as a person waiting would see it."""
    times, last = [], time.perf_counter()
    for _ in results:
        now = time.perf_counter()
        times.append(1000 * (now - last))
        last = now
    return times


class _Passes:
    """Counts forward passes of the language model until stopped."""

    def __init__(self, model: VisionLanguageModel) -> None:
        self._count = 0
        self._hook = model.model.model.language_model.register_forward_hook(self._counted)

    def _counted(self, *_: Any) -> None:
        self._count += 1

    def stop(self) -> int:
        self._hook.remove()
        return self._count


def _reranker(model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, new_tokens: int) -> Reranker:
    """The engine as it is, except that an answer ends after `new_tokens`: random weights never write a score."""
    names = ("score_yes_no", "has_image_features", "encode_image", "clear_cache", "prompt_text")
    short = SimpleNamespace(
        generate=partial(model.generate, max_new_tokens=new_tokens), **{name: getattr(model, name) for name in names}
    )
    return Reranker(cast(ScoringBackend, short), checkpoint=checkpoint, options=ScoringOptions(method))


def _memory(reranker: Reranker, pictures: int) -> Iterator[MemoryReading]:
    for result in reranker.stream(QUERIES[0], photographs(pictures)):
        if (result.index + 1) % PICTURES_BETWEEN_READINGS == 0:
            now = memory_usage()[0]
            yield MemoryReading(result.index + 1, now.used / GIB, now.peak / GIB)


def _machine() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return f"{_processor_name()}, {torch.get_num_threads()} thread(s)"


def _processor_name() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
