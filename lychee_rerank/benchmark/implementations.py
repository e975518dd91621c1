"""The ways to score that are measured beside each other: this package, plain transformers, and peers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.cross_encoder import CrossEncoderPeer
from lychee_rerank.benchmark.latency import Implementation
from lychee_rerank.benchmark.result import OURS, PLAIN, WITHOUT_GRAPHS
from lychee_rerank.errors import ModelError
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text.score_parser import parse_score
from lychee_rerank.weights.locate import Checkpoint

CROSS_ENCODER, SERVER = "sentence-transformers", "vllm"
PEER_BATCH_SIZE = 8


def own_implementations(
    model: VisionLanguageModel,
    checkpoint: Checkpoint,
    method: ScoringMethod,
    new_tokens: int,
    count_passes: Callable[[], int],
) -> tuple[Implementation, ...]:
    """This package, with CUDA graphs and without where it uses them, and plain transformers with the same weights."""
    backend = limited_to(new_tokens, model)
    reranker = Reranker(backend, checkpoint=checkpoint, options=ScoringOptions(method))
    stream = partial(_reranker_scores, reranker, None)
    baseline = TransformersBaseline(model, method, new_tokens)
    plain = Implementation(PLAIN, partial(_baseline_scores, baseline), context=baseline, count_passes=count_passes)
    ours = Implementation(OURS, stream, clear_cache=model.clear_cache, count_passes=count_passes)
    if not model.uses_cuda_graphs:
        return ours, plain
    # A graph that is launched runs no module whose passes could be counted.
    graphs = Implementation(OURS, stream, clear_cache=model.clear_cache)
    return graphs, replace(ours, name=WITHOUT_GRAPHS, stream=partial(_without_graphs, backend, stream)), plain


def cross_encoder(folder: Path | None, model: VisionLanguageModel, images: int) -> list[Implementation]:
    """One image at a time, and in batches. Raises what `CrossEncoderPeer` raises."""
    if folder is None:
        raise ModelError("random weights are in no folder that it could load")
    peer = CrossEncoderPeer(folder, model)
    return [
        Implementation(CROSS_ENCODER, partial(peer.stream, batch_size=size), size, is_peer=True)
        for size in (1, min(PEER_BATCH_SIZE, images))
    ]


def server_implementation(reranker: Reranker, method: ScoringMethod) -> Implementation:
    """Only with several images in flight: a second measurement would find its images cached on the server."""
    stream = partial(_reranker_scores, reranker, ScoringOptions(method))
    return Implementation(SERVER, stream, PEER_BATCH_SIZE, is_peer=True)


def our_reranker(
    model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, new_tokens: int
) -> Reranker:
    """With answers cut to `new_tokens`."""
    return Reranker(limited_to(new_tokens, model), checkpoint=checkpoint, options=ScoringOptions(method))


def limited_to(new_tokens: int, model: VisionLanguageModel) -> VisionLanguageModel:
    """The model with answers cut: with random weights it never generates a score, after which it would stop."""
    backend = copy.copy(model)
    generate = partial(VisionLanguageModel.generate, backend, max_new_tokens=new_tokens)
    backend.generate = generate  # type: ignore[method-assign]
    return backend


def _reranker_scores(
    reranker: Reranker, options: ScoringOptions | None, query: str, files: Sequence[bytes]
) -> Iterator[float]:
    for result in reranker.stream(query, files, options=options):
        if result.problem:
            raise ModelError(str(result.problem))
        yield result.score


def _without_graphs(
    model: VisionLanguageModel,
    stream: Callable[[str, Sequence[bytes]], Iterator[float]],
    query: str,
    files: Sequence[bytes],
) -> Iterator[float]:
    with model.without_cuda_graphs():
        yield from stream(query, files)


def _baseline_scores(baseline: TransformersBaseline, query: str, files: Sequence[bytes]) -> Iterator[float]:
    for output in baseline.stream(query, files):
        yield parse_score(output).value if isinstance(output, str) else 10 * output


@contextmanager
def count_passes(model: VisionLanguageModel) -> Iterator[Callable[[], int]]:
    """How many forward passes of the model's decoder were made so far."""
    passes: list[None] = []
    hook = model.model.model.language_model.register_forward_hook(lambda *_: passes.append(None))
    try:
        yield passes.__len__
    finally:
        hook.remove()
