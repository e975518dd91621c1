"""The reranker that the options of a command ask for."""

from __future__ import annotations

from lychee_rerank.cli.options import MethodChoice
from lychee_rerank.images.resize import Fit
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION


def open_reranker(
    model: str,
    server: str | None,
    method: MethodChoice,
    fit: Fit,
    instruction: str | None,
    reserve_gib: float,
    max_concurrency: int,
) -> Reranker:
    """Load `model`, or connect to the vLLM server at the URL `server`. Raises LycheeError."""
    instruction = instruction or DEFAULT_INSTRUCTION
    if not server:
        return Reranker.from_pretrained(model, method=method, reserve_gib=reserve_gib, fit=fit, instruction=instruction)
    from lychee_rerank.vllm import connect

    return connect(server, method=method, fit=fit, instruction=instruction, max_concurrency=max_concurrency)


def ensure_server_available(reranker: Reranker) -> None:
    """Raise ServerError where the reranker scores through a server that stopped answering."""
    from lychee_rerank.vllm.reranker import VLLMReranker

    if isinstance(reranker, VLLMReranker):
        reranker.client.ensure_available()
