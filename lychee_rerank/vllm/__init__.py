"""Scoring through a vLLM server: `connect(url)` gives a `Reranker` like any other."""

from lychee_rerank.vllm.reranker import connect

__all__ = ["connect"]
