"""`lychee-rerank eval`: settings compared by a person's own judgments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.reranker import Reranker
from support.fake_cli import BrightnessBackend, brightness_reranker, run_command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images named 10.png to 90.png, each as bright as its name, and judgments about some of them."""
    for brightness in range(10, 100, 10):
        Image.new("L", (8, 8), brightness).save(tmp_path / f"{brightness}.png")
    rows = ["query,file,relevance", "Bright,90.png,2", "Bright,80.png,1", "DARK,10.png,1", "DARK,50.png,0"]
    (tmp_path / "judgments.csv").write_text("\n".join(rows), "utf-8")
    return tmp_path


@pytest.fixture
def reranker(monkeypatch: pytest.MonkeyPatch) -> Reranker:
    reranker = brightness_reranker(BrightnessBackend())
    monkeypatch.setattr("lychee_rerank.cli.evaluate.open_reranker", lambda *_, **__: reranker)
    return reranker


@pytest.mark.usefixtures("reranker")
def test_each_setting_is_measured(folder: Path) -> None:
    result = run_command("eval", folder, "--json", folder / "e.json")
    assert result.exit_code == 0, result.output
    document = json.loads((folder / "e.json").read_bytes())
    normalised, as_typed = document["settings"]
    assert (document["model"], document["queries"], document["files"]) == ("brightness", 2, 4)
    assert (normalised["method"], normalised["normalize"], normalised["ndcg_at_10"]) == ("yes_no", True, 1.0)
    # The fake model knows "dark" only in lower case, so normalizing makes a difference.
    assert as_typed["normalize"] is False and as_typed["ndcg_at_10"] < 0.8
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["yes_no, normalised", "yes_no, as typed"]
    assert lines[0][1:3] == ["1.000", "1.000 to 1.000"] and [len(line) for line in lines] == [10, 10]


@pytest.mark.usefixtures("reranker")
def test_the_fields_of_the_json_are_those_that_are_documented(folder: Path) -> None:
    document = json.loads(run_command("eval", folder, "--json", "-", "--quiet").stdout)
    recalls = ["recall_at_1", "recall_at_5", "recall_at_10"]
    quality = ["ndcg_at_10", "ndcg_low", "ndcg_high", "mrr", *recalls, "spread", "gap", "agreement"]
    assert list(document) == ["model", "queries", "files", "settings"]
    assert all(list(setting) == ["method", "normalize", *quality] for setting in document["settings"])


@pytest.mark.usefixtures("reranker")
def test_the_comparison_is_drawn(folder: Path) -> None:
    pytest.importorskip("vl_convert", reason="the extra `plot` is not installed")
    assert run_command("eval", folder, "--plot", folder / "e.svg").exit_code == 0
    assert "<svg" in (folder / "e.svg").read_text()


def test_a_plot_without_vl_convert_is_refused_before_any_scoring(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lychee_rerank.cli.chart.find_spec", lambda _name: None)
    monkeypatch.setattr("lychee_rerank.cli.evaluate.open_reranker", lambda *_, **__: pytest.fail("a model was loaded"))
    result = run_command("eval", folder, "--plot", folder / "e.png")
    assert result.exit_code == 2
    assert result.stderr == "--plot needs vl-convert: start with `uv run --extra plot lychee-rerank eval ...`.\n"
