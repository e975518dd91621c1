"""The reranker that the options of a command ask for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.cli.options import DtypeChoice, MethodChoice
from lychee_rerank.images.resize import Fit
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.weights.locate import DEMO_FOLDER, DEMO_WARNING, damaged_checkpoints, find_checkpoint

_SAMPLES = os.path.realpath(DEMO_FOLDER.parent / "samples")


def open_reranker(
    model: str,
    server: str | None,
    method: MethodChoice,
    fit: Fit,
    instruction: str | None,
    reserve_gib: float,
    dtype: DtypeChoice,
    max_concurrency: int,
) -> Reranker:
    """Load `model`, or connect to the vLLM server at the URL `server`. Raises LycheeError."""
    instruction = instruction or DEFAULT_INSTRUCTION
    if not server:
        model = "demo" if find_checkpoint(model).is_demo else model  # `warn_about_demo` says so, not the log
        return Reranker.from_pretrained(
            model, method=method, dtype=dtype, reserve_gib=reserve_gib, fit=fit, instruction=instruction
        )
    from lychee_rerank.vllm import connect

    return connect(server, method=method, fit=fit, instruction=instruction, max_concurrency=max_concurrency)


def ensure_server_available(reranker: Reranker) -> None:
    """Raise ServerError where the reranker scores through a server that stopped answering."""
    from lychee_rerank.vllm.reranker import VLLMReranker

    if isinstance(reranker, VLLMReranker):
        reranker.client.ensure_available()


def warn_about_demo(reranker: Reranker, model: str, files: Iterable[str | Path]) -> None:
    """Say on stderr that the demo scores `files`, unless they are its own samples, and what is wrong with the weights
    that "auto" passed over for it.
    """
    if not reranker.checkpoint.is_demo:
        return
    warnings = damaged_checkpoints() if model == "auto" else []
    if not all(map(_is_sample, files)):
        warnings.append(DEMO_WARNING)
    for warning in warnings:
        stderr_console.print(warning, markup=False, soft_wrap=True)


def _is_sample(file: str | Path) -> bool:
    try:
        return os.path.dirname(os.path.realpath(file)) == _SAMPLES
    except ValueError:  # no possible name
        return False
