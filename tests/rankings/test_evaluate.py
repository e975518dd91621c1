from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from lychee_rerank.cli import app
from lychee_rerank.errors import InputError
from lychee_rerank.rankings.evaluate import (
    Qrels,
    chart,
    compute_metrics,
    ndcg,
    read_qrels,
    recall,
    reciprocal_rank,
    spearman,
)
from lychee_rerank.results import ImageScore, rank
from support.fake_cli import BrightnessJudge, brightness_reranker

HEAD = "query,file,relevance\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Writes judgements beside pictures named 10.png to 90.png, each as bright as its name."""
    for grey in range(10, 100, 10):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{grey}.png")

    def write(text: str) -> Path:
        (tmp_path / "judgements.csv").write_text(text, "utf-8")
        return tmp_path

    return write


def ranking(*scores: float) -> list[ImageScore]:
    return rank(ImageScore(index=n, name=str(n), score=score, method="yes_no") for n, score in enumerate(scores))


def test_ndcg_is_that_of_the_textbook() -> None:
    # Gains 3, 2, 3, 0, 1, 2: DCG 6.861, ideal order 3, 3, 2, 2, 1, 0: 7.141 (the example on Wikipedia).
    assert ndcg([3, 2, 3, 0, 1, 2], 6) == pytest.approx(0.961, abs=5e-4)
    assert ndcg([0, 0, 1], 2) == 0.0


def test_reciprocal_rank_and_recall() -> None:
    gains = [0.0, 1.0, 0.0, 2.0]
    assert reciprocal_rank(gains) == 0.5
    assert [recall(gains, depth) for depth in (1, 2, 3, 4)] == [0.0, 0.5, 0.5, 1.0]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1).filter(any))
def test_the_best_order_measures_one_and_no_order_more(gains: list[float]) -> None:
    assert ndcg(sorted(gains, reverse=True), 10) == 1.0
    assert 0.0 <= ndcg(gains, 10) <= 1.0


def test_rank_correlation_sees_order_only_and_shares_equal_ranks() -> None:
    assert spearman([1, 2, 3], [10, 20, 900]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_a_perfect_setting_beats_a_reversed_one() -> None:
    files = tuple(Path(f"{n}.png") for n in range(4))
    judgements = Qrels(files, {"白猫": {0: 1.0}, "white cat": {0: 1.0}, "a dog": {3: 2.0, 2: 1.0}})
    good = compute_metrics(judgements, [ranking(9, 3, 2, 1), ranking(8, 3, 2, 1), ranking(0, 1, 5, 9)])
    bad = compute_metrics(judgements, [ranking(1, 2, 3, 9), ranking(9, 3, 2, 1), ranking(9, 5, 1, 0)])
    assert (good.ndcg_at_10, good.mrr, good.recall_at_5, good.agreement) == (1.0, 1.0, 1.0, pytest.approx(1.0))
    assert bad.ndcg_at_10 < 0.8 and bad.mrr < 0.8 and bad.agreement == pytest.approx(-1.0)
    assert good.gap == pytest.approx((7 + 6 + 6.5) / 3)
    assert bad.ndcg_low <= bad.ndcg_at_10 <= bad.ndcg_high


def test_without_a_pair_of_languages_there_is_no_agreement() -> None:
    judgements = Qrels((Path("a"), Path("b")), {"白猫": {0: 1.0}, "a dog": {1: 1.0}})
    assert compute_metrics(judgements, [ranking(1, 2), ranking(1, 2)]).agreement is None


def test_judgements_are_read_and_pictures_not_named_for_a_query_are_not_relevant(table: Callable[[str], Path]) -> None:
    judgements = read_qrels(table("\ufeff" + HEAD + "白猫,10.png,2\nwhite cat,90.png,1\n白猫,20.png,0\n"))
    assert sorted(path.name for path in judgements.files) == ["10.png", "20.png", "90.png"]
    names = {query: {judgements.files[n].name: v for n, v in r.items()} for query, r in judgements.relevance.items()}
    assert names == {"白猫": {"10.png": 2.0, "20.png": 0.0}, "white cat": {"90.png": 1.0}}


def test_the_order_of_pictures_does_not_follow_the_table(table: Callable[[str], Path]) -> None:
    rows = [f"cat,{grey}.png,{grey}" for grey in range(90, 0, -10)]
    judgements = read_qrels(table(HEAD + "\n".join(rows)))
    assert [path.stem for path in judgements.files] != [str(grey) for grey in range(90, 0, -10)]
    assert read_qrels(table(HEAD + "\n".join(reversed(rows)))).files == judgements.files


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("query,file\ncat,10.png\n", "no column relevance"),
        (HEAD + "cat,10.png,much\n", "line 2: the relevance 'much' is not a number"),
        (HEAD + "cat,10.png,nan\n", "line 2"),
        (HEAD + "cat,10.png,-1\n", "line 2"),
        (HEAD + "cat,10.png\n", "line 2"),
        (HEAD + ",10.png,1\n", "line 2"),
        (HEAD + "cat,10.png,1\ncat,gone.png,0\n", "do not exist, the first is gone.png"),
        (HEAD + "cat,10.png,0\n", "no relevant picture for 'cat'"),
        (HEAD, "no judgements"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(
    table: Callable[[str], Path], text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_qrels(table(text))


def test_a_table_saved_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_bytes("query,file,relevance\n红苹果,a.jpg,1\n".encode("gbk"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_qrels(tmp_path)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are 0"):
        read_qrels(tmp_path)


def test_the_command_measures_each_setting_and_draws_it(
    table: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table(HEAD + "Bright,90.png,2\nBright,80.png,1\nDARK,10.png,1\nDARK,50.png,0\n")
    reranker = brightness_reranker(BrightnessJudge())
    monkeypatch.setattr("lychee_rerank.cli.evaluate.open_reranker", lambda *_, **__: reranker)
    outputs = ["--json", str(tmp_path / "e.json"), "--plot", str(tmp_path / "e.svg")]
    result = CliRunner().invoke(app, ["eval", str(data), *outputs, "--journal", str(tmp_path / "journal")])
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "e.json").read_bytes())
    normalised, as_typed = document["settings"]
    assert (normalised["method"], normalised["normalize"], normalised["ndcg_at_10"]) == ("yes_no", True, 1.0)
    # The stand-in knows "dark" only in lower case: this is how the use of normalising shows.
    assert as_typed["normalize"] is False and as_typed["ndcg_at_10"] < 0.8
    assert "<svg" in (tmp_path / "e.svg").read_text()
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["yes_no, normalised", "yes_no, as typed"]


def test_the_chart_becomes_a_png_without_network(tmp_path: Path) -> None:
    judgements = Qrels((Path("a"), Path("b")), {"白猫": {0: 1.0}})
    chart({"one": compute_metrics(judgements, [ranking(2, 1)])}).save(tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.format == "PNG" and picture.getextrema() != ((255, 255),) * 3
