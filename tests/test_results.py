"""The order of a ranking."""

from __future__ import annotations

from lychee_rerank.errors import PictureProblem
from lychee_rerank.results import ImageScore, rank


def result(index: int, score: float, problem: PictureProblem | None = None) -> ImageScore:
    return ImageScore(index, f"{index}.png", score, "yes_no", problem=problem)


def test_the_best_comes_first_ties_keep_their_order_and_failures_come_last() -> None:
    failure = PictureProblem("empty")
    ranking = rank([result(0, 0.0, failure), result(1, 5.0), result(2, 9.0), result(3, 5.0), result(4, 0.0, failure)])
    assert [entry.index for entry in ranking] == [2, 1, 3, 0, 4]
    assert [entry.rank for entry in ranking] == [1, 2, 3, 4, 5]


def test_the_order_of_ties_follows_the_index_and_not_the_order_of_arrival() -> None:
    assert [entry.index for entry in rank([result(2, 5.0), result(0, 5.0), result(1, 5.0)])] == [0, 1, 2]


def test_a_result_has_an_error_only_with_a_problem() -> None:
    assert result(0, 5.0).error is None
    assert result(0, 0.0, PictureProblem("empty")).error == "The file is empty (0 bytes)."
