"""Metrics over relevance judgments, and reading the judgments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.errors import InputError
from lychee_rerank.rankings.evaluate import (
    Qrels,
    compute_metrics,
    ndcg,
    read_qrels,
    recall,
    reciprocal_rank,
    spearman,
)
from lychee_rerank.results import ImageScore, rank

HEADER = "query,file,relevance\n"


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[str], Path]:
    """Writes judgments beside files named 10.png to 90.png; returns their folder."""
    for number in range(10, 100, 10):
        (tmp_path / f"{number}.png").touch()

    def write(text: str) -> Path:
        (tmp_path / "judgments.csv").write_text(text, "utf-8")
        return tmp_path

    return write


def ranking(*scores: float) -> list[ImageScore]:
    return rank(ImageScore(index=n, name=str(n), score=score, method="yes_no") for n, score in enumerate(scores))


def test_ndcg_agrees_with_a_textbook_example() -> None:
    # Gains 3, 2, 3, 0, 1, 2: DCG 6.861, ideal order 3, 3, 2, 2, 1, 0: 7.141 (the example in Wikipedia).
    assert ndcg([3, 2, 3, 0, 1, 2], 6) == pytest.approx(0.961, abs=5e-4)
    assert ndcg([0, 0, 1], 2) == 0.0


def test_reciprocal_rank_and_recall_count_the_relevant_images() -> None:
    gains = [0.0, 1.0, 0.0, 2.0]
    assert reciprocal_rank(gains) == 0.5
    assert [recall(gains, k) for k in (1, 2, 3, 4)] == [0.0, 0.5, 0.5, 1.0]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1).filter(any))
def test_the_ideal_order_has_an_ndcg_of_one_and_no_order_more(gains: list[float]) -> None:
    assert ndcg(sorted(gains, reverse=True), 10) == 1.0
    assert 0.0 <= ndcg(gains, 10) <= 1.0


def test_spearman_depends_on_order_only_and_equal_values_share_a_rank() -> None:
    assert spearman([1, 2, 3], [10, 20, 900]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_a_perfect_setting_beats_a_reversed_one() -> None:
    files = tuple(Path(f"{n}.png") for n in range(4))
    qrels = Qrels(files, {"白猫": {0: 1.0}, "white cat": {0: 1.0}, "a dog": {3: 2.0, 2: 1.0}})
    good = compute_metrics(qrels, [ranking(9, 3, 2, 1), ranking(8, 3, 2, 1), ranking(0, 1, 5, 9)])
    bad = compute_metrics(qrels, [ranking(1, 2, 3, 9), ranking(9, 3, 2, 1), ranking(9, 5, 1, 0)])
    assert (good.ndcg_at_10, good.mrr, good.recall_at_5, good.agreement) == (1.0, 1.0, 1.0, pytest.approx(1.0))
    assert bad.ndcg_at_10 < 0.8 and bad.mrr < 0.8 and bad.agreement == pytest.approx(-1.0)
    assert good.score_margin == pytest.approx((7 + 6 + 6.5) / 3)
    assert bad.ndcg_low <= bad.ndcg_at_10 <= bad.ndcg_high


def test_without_a_pair_of_languages_there_is_no_agreement() -> None:
    qrels = Qrels((Path("a"), Path("b")), {"白猫": {0: 1.0}, "a dog": {1: 1.0}})
    assert compute_metrics(qrels, [ranking(1, 2), ranking(1, 2)]).agreement is None


def test_judgments_are_read_with_every_file_that_any_query_names(write_table: Callable[[str], Path]) -> None:
    qrels = read_qrels(write_table("\ufeff" + HEADER + "白猫,10.png,2\nwhite cat,90.png,1\n白猫,20.png,0\n"))
    assert sorted(path.name for path in qrels.files) == ["10.png", "20.png", "90.png"]
    by_name = {query: {qrels.files[n].name: v for n, v in r.items()} for query, r in qrels.relevance.items()}
    assert by_name == {"白猫": {"10.png": 2.0, "20.png": 0.0}, "white cat": {"90.png": 1.0}}


def test_the_order_of_files_does_not_follow_the_table(write_table: Callable[[str], Path]) -> None:
    rows = [f"cat,{number}.png,{number}" for number in range(90, 0, -10)]
    qrels = read_qrels(write_table(HEADER + "\n".join(rows)))
    assert [path.stem for path in qrels.files] != [str(number) for number in range(90, 0, -10)]
    assert read_qrels(write_table(HEADER + "\n".join(reversed(rows)))).files == qrels.files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,file\ncat,10.png\n", "no column relevance"),
        (HEADER + "cat,10.png,much\n", "line 2: the relevance 'much' is not a number"),
        (HEADER + "cat,10.png,nan\n", "line 2"),
        (HEADER + "cat,10.png,-1\n", "line 2"),
        (HEADER + "cat,10.png\n", "line 2"),
        (HEADER + ",10.png,1\n", "line 2"),
        (HEADER + "cat,10.png,1\ncat,gone.png,0\n", "do not exist, the first is gone.png"),
        (HEADER + "cat,10.png,0\n", "no relevant picture for 'cat'"),
        (HEADER, "no judgments"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(
    write_table: Callable[[str], Path], text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_qrels(write_table(text))


def test_a_table_saved_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_bytes("query,file,relevance\n红苹果,a.jpg,1\n".encode("gbk"))
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_qrels(tmp_path)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are 0"):
        read_qrels(tmp_path)


def test_a_table_may_be_in_utf_16_and_beside_hidden_files(write_table: Callable[[str], Path]) -> None:
    folder = write_table(HEADER)
    (folder / "judgments.csv").write_text(HEADER + "白猫,10.png,2\n", "utf-16")
    (folder / "._judgments.csv").touch()
    assert list(read_qrels(folder).relevance) == ["白猫"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_table_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j.csv")
    with pytest.raises(InputError, match="it is not a regular file"):
        read_qrels(tmp_path)


def test_names_that_no_file_can_have_are_refused(write_table: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_qrels(Path("x" * 5000))
    with pytest.raises(InputError, match="do not exist, the first is xxx"):
        read_qrels(write_table(HEADER + f"cat,{'x' * 5000},1\n"))
