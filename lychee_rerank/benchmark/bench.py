"""Speed and memory, measured beside other ways to use the same weights, over the same images in the same run.

Neither depends on what the weights are, so they can be random, in the shapes of the real models.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from lychee_rerank.benchmark.conditions import measure_conditions
from lychee_rerank.benchmark.cpu_threads import measure_threads
from lychee_rerank.benchmark.implementations import (
    CROSS_ENCODER,
    count_passes,
    cross_encoder,
    our_reranker,
    own_implementations,
    server_implementation,
)
from lychee_rerank.benchmark.latency import QUERIES, Implementation, Latency, compare, left_out
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.benchmark.random_weights import SIZES, build_random_model
from lychee_rerank.benchmark.result import MAX_SCORE_DIFFERENCE, BenchmarkResult, MemoryReading
from lychee_rerank.devices.memory import GIB, memory_usage
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ScoringMethod
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint, find_checkpoint

METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")
ROUNDS = 5
IMAGES_PER_READING = 50


def bench(
    model: str = "demo",
    *,
    size: str | None = None,
    dtype: str = "auto",
    images: int = 8,
    new_tokens: int = 12,
    memory_images: int = 0,
    with_cross_encoder: bool = False,
    server: Reranker | None = None,
    threads: bool = False,
    conditions: bool = False,
) -> BenchmarkResult:
    """Measure both methods in every implementation: `ROUNDS` times two queries over at least 3 `images`, with answers
    of `new_tokens`.

    `size` (a key of `SIZES`) takes random weights instead of a checkpoint, with dtype="auto" in BF16. Peers are
    sentence-transformers' CrossEncoder and a `server` with the same checkpoint, both in batches of `PEER_BATCH_SIZE`;
    one that fails is left out. Afterwards `memory_images` are scored, and memory is read after every 50. `threads`
    measures the threads on a CPU beside fixed settings, not with random weights; `conditions` what scoring the
    conditions of a query costs. Raises CheckpointError and ModelError.
    """
    checkpoint = _random_checkpoint(size) if size else find_checkpoint(model)
    loaded, dtype = _build_random(size, dtype) if size else _load(checkpoint, dtype)
    cross_encoders, measured = _open_cross_encoders(
        None if size else checkpoint.path, loaded, images, with_cross_encoder
    )
    with count_passes(loaded) as passes:
        for method in METHODS:
            *ours, plain = own_implementations(loaded, checkpoint, method, new_tokens, passes)
            peers = cross_encoders if method == "yes_no" else []
            peers = [*peers, server_implementation(server, method)] if server else peers
            measured += compare([*ours, plain, *peers], plain, method, _rounds(images, METHODS.index(method)))
    return BenchmarkResult(
        machine_name(),
        checkpoint.name,
        dtype,
        images,
        new_tokens,
        torch.__version__,
        tuple(entry for entry in measured if isinstance(entry, Latency)),
        tuple(_read_memory(our_reranker(loaded, checkpoint, "yes_no", new_tokens), memory_images)),
        MAX_SCORE_DIFFERENCE[dtype],
        tuple(entry for entry in measured if isinstance(entry, str)),
        tuple(measure_threads(model, dtype, images)) if threads and not size else (),
        tuple(measure_conditions(loaded, checkpoint, method, new_tokens) for method in METHODS if conditions),
    )


def _random_checkpoint(size: str) -> Checkpoint:
    return Checkpoint(DEMO_FOLDER, f"random weights in the {SIZES[size].title} shapes", "argument")


def _build_random(size: str, dtype: str) -> tuple[VisionLanguageModel, str]:
    dtype = "bfloat16" if dtype == "auto" else dtype
    return build_random_model(size, dtype), dtype


def _load(checkpoint: Checkpoint, dtype: str) -> tuple[VisionLanguageModel, str]:
    loaded, plan = load_model(checkpoint.path, dtype=dtype)
    return loaded, plan.dtype


def _open_cross_encoders(
    folder: Path | None, model: VisionLanguageModel, images: int, wanted: bool
) -> tuple[list[Implementation], list[Latency | str]]:
    """sentence-transformers, or a sentence on why not."""
    try:
        return (cross_encoder(folder, model, images) if wanted else []), []
    except Exception as error:  # it reads the weights in its own way, and may raise anything
        return [], [left_out(CROSS_ENCODER, "yes_no", error)]


def _rounds(images: int, method_index: int) -> list[list[bytes]]:
    """One image to warm up, then `images` for each round; none comes twice, in no method."""
    photos = random_photos(1 + ROUNDS * images, first_seed=method_index * 1_000_000)
    return [[next(photos)], *([*islice(photos, images)] for _ in range(ROUNDS))]


def _read_memory(reranker: Reranker, images: int) -> Iterator[MemoryReading]:
    for result in reranker.stream(QUERIES[0], random_photos(images)):
        if (result.index + 1) % IMAGES_PER_READING == 0:
            device = memory_usage()[0]
            yield MemoryReading(result.index + 1, device.used / GIB, device.peak / GIB)


def machine_name() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    cpu = next(names, platform.processor() or platform.machine())
    return f"{cpu}, {torch.get_num_threads()} thread(s)"
