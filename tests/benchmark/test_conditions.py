"""What the conditions of a query cost is measured on the scores that a person gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.benchmark import conditions as module
from lychee_rerank.benchmark.conditions import CONDITIONS, QUERY, measure_conditions
from lychee_rerank.model.loading import load_model
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.weights.locate import Checkpoint


def test_the_query_has_these_conditions() -> None:
    assert split_conditions(QUERY) == CONDITIONS


@pytest.mark.slow
@pytest.mark.parametrize("method", ["yes_no", "generate"])
def test_conditions_have_the_scores_of_queries_scored_anew(
    checkpoint: Path, method: ScoringMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMAGES", 2)
    model, _ = load_model(checkpoint, dtype="float32", device_map="cpu")
    latency = measure_conditions(model, Checkpoint(checkpoint, "small", "argument"), method, 3, rounds=1)
    assert latency.score_difference < 1e-4
    assert min(latency.kept_ms, latency.cold_ms, latency.anew_ms, latency.plain_ms) > 0
