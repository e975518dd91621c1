"""The same Reranker through a vLLM server."""
