"""What is measured beside each other is what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.benchmark.implementations import own_implementations
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.benchmark.result import OURS, PLAIN, WITHOUT_GRAPHS
from lychee_rerank.model.loading import load_model
from lychee_rerank.results import ScoringMethod
from lychee_rerank.weights.locate import Checkpoint
from support.cuda_graphs import pretend_cuda_graphs


@pytest.mark.parametrize("method", ["yes_no", "generate"])
def test_graphs_are_measured_apart(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, method: ScoringMethod) -> None:
    replays = pretend_cuda_graphs(monkeypatch)
    model = load_model(checkpoint, dtype="float32", device_map="cpu")[0]
    implementations = own_implementations(
        model, Checkpoint(checkpoint, "small", "argument"), method, new_tokens=3, count_passes=lambda: 0
    )
    replayed, scores = {}, []
    for implementation in implementations:
        replays.clear()
        implementation.clear_cache()
        with implementation.context:
            scores.append(list(implementation.stream("a cat", list(random_photos(2)))))
        replayed[implementation.name] = bool(replays)
    assert replayed == {OURS: True, WITHOUT_GRAPHS: False, PLAIN: False}
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
