"""tools/precision.py: the float32 reference is float32, and the table counts what it says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

from lychee_rerank.benchmark.random_weights import build_random_model
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from tools.precision import (
    QUERIES,
    Float32Arithmetic,
    agreement,
    baseline_scores,
    compare,
    convert,
    engine_scores,
    precision,
    reference_scores,
    sample_files,
    spearman,
    spread_scores,
)


@pytest.fixture
def half(checkpoint: Path) -> VisionLanguageModel:
    return load_model(checkpoint, dtype="bfloat16", device_map="cpu")[0]


def test_the_reference_has_the_scores_of_the_same_weights_all_in_float32(half: VisionLanguageModel) -> None:
    files = sample_files(2)
    reference, _ = reference_scores(half, files)
    assert half.model.dtype == torch.bfloat16
    whole = convert(half, torch.float32)
    np.testing.assert_allclose(reference, baseline_scores(whole, files), atol=1e-5)
    np.testing.assert_allclose(reference, engine_scores(whole, files), atol=1e-4)


def test_float32_arithmetic_converts_weights_values_and_types() -> None:
    weight, values = torch.randn(8, 64).bfloat16(), torch.randn(4, 64).bfloat16()
    with Float32Arithmetic() as arithmetic:
        result = torch.nn.functional.linear(values, weight).to(torch.bfloat16)
    assert torch.equal(result, torch.nn.functional.linear(values.float(), weight.float()))
    assert float(arithmetic.largest) == result.abs().max()
    assert weight.dtype == torch.bfloat16


def test_float16_is_nearer_than_bfloat16_while_nothing_overflows(half: VisionLanguageModel) -> None:
    files = sample_files(2)
    spread_scores(half, files)
    reference, _ = reference_scores(half, files)
    rows = list(compare(half, files, reference, ["bfloat16", "float16"]))
    assert [(row.implementation, row.dtype) for row in rows] == [
        ("transformers", "reference"),
        ("transformers", "bfloat16"),
        ("lychee_rerank", "bfloat16"),
        ("transformers", "float16"),
        ("lychee_rerank", "float16"),
    ]
    assert all(row.failed == 0 for row in rows)
    means = {(row.implementation, row.dtype): row.mean for row in rows}
    for implementation in ("transformers", "lychee_rerank"):
        assert 0 < means[implementation, "float16"] < means[implementation, "bfloat16"] < 1


def test_an_overflow_in_float16_is_counted_and_not_averaged(half: VisionLanguageModel) -> None:
    files = sample_files(2)
    with torch.no_grad():
        half.model.model.language_model.layers[0].mlp.down_proj.weight *= 1e7
    reference, largest_value = reference_scores(half, files)
    assert np.isfinite(reference).all()
    assert largest_value > torch.finfo(torch.float16).max
    *_, plain, engine = compare(half, files, reference, ["float16"])
    assert plain.failed == engine.failed == len(QUERIES) * len(files)
    assert math.isnan(engine.mean)


@pytest.mark.slow
def test_random_weights_give_scores_that_differ_once_they_are_spread() -> None:
    files = sample_files(5)
    loaded = build_random_model("tiny")
    before = baseline_scores(loaded, files).std()
    spread_scores(loaded, files)
    after = baseline_scores(loaded, files)
    assert before < 1
    assert after.std() > 1.5
    assert abs(after.mean() - 5) < 1.5


def test_rank_agreement_is_that_of_spearman() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spearman(values, values**3) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    # 1 - 6 * sum(d**2) / (n * (n**2 - 1)) with d = 0, 0, 0, 1, 1
    assert spearman(values, np.array([1.0, 2.0, 3.0, 5.0, 4.0])) == pytest.approx(1 - 6 * 2 / (5 * 24))
    # Equal values have the mean of their ranks: 1, 2.5, 2.5, 4.
    assert spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(4.5 / 22.5**0.5)


def test_a_score_that_is_no_number_leaves_the_others_their_figures() -> None:
    reference = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    scores = np.array([[1.5, 2.0, math.nan], [4.0, 5.0, 6.0]])
    row = agreement("transformers", "float16", scores, reference)
    assert (row.mean, row.largest, row.rank_agreement, row.failed) == (pytest.approx(0.1), 0.5, pytest.approx(1), 1)
    assert (row.lowest, row.highest) == (1.5, 6.0)


def test_the_command_prints_one_line_for_each_implementation_and_writes_json(tmp_path: Path) -> None:
    app = Typer()
    app.command()(precision)
    output = tmp_path / "precision.json"
    arguments = ["demo", "--pictures", "2", "--dtypes", "bfloat16", "--device", "cpu", "--json", str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert [line.split("|")[1:3] for line in result.output.splitlines() if line.startswith("| ")] == [
        [" implementation ", " type "],
        [" transformers ", " reference "],
        [" transformers ", " bfloat16 "],
        [" lychee_rerank ", " bfloat16 "],
    ]
    numbers = json.loads(output.read_text(encoding="utf-8"))
    assert numbers["scores"] == 2 * len(QUERIES)
    assert [row["failed"] for row in numbers["rows"]] == [0, 0, 0]


def test_an_unknown_type_is_refused_before_anything_is_loaded() -> None:
    app = Typer()
    app.command()(precision)
    result = CliRunner().invoke(app, ["demo", "--dtypes", "bfloat16,int8"])
    assert result.exit_code == 2
    assert "int8" in result.output
