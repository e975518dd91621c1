"""CUDA graphs without CUDA: what is recorded is run anew instead of replayed, in the same buffers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor


def pretend_cuda_graphs(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """From now on models use graphs on a CPU; the list grows by one with every replay."""
    replays: list[None] = []

    def record(function: Callable[[], Tensor], _memory_pool: object) -> tuple[Callable[[], None], Tensor]:
        output = function()

        def replay() -> None:
            replays.append(None)
            output.copy_(function())

        return replay, output

    monkeypatch.setattr("lychee_rerank.model.cuda_graphs.record", record)
    monkeypatch.setattr("torch.cuda.graph_pool_handle", lambda: None)
    monkeypatch.setattr("lychee_rerank.model.vlm.supports_cuda_graphs", lambda *_: True)
    return replays
