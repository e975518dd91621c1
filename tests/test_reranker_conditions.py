"""`Reranker.conditions`, with the demo model on its samples and with a small random one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.errors import QueryError
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.weights.locate import DEMO_FOLDER

SAMPLES = DEMO_FOLDER.parent / "samples"
QUERY = "a basketball, a blue background, 晴天"
METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")


@pytest.fixture(scope="module")
def demo() -> Reranker:
    return Reranker.from_pretrained("demo", method="yes_no", dtype="float32", device_map="cpu")


@pytest.fixture(scope="module")
def small(checkpoint: Path) -> Reranker:
    return Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map="cpu")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ["demo", "small"])
def test_each_part_has_the_score_of_a_ranking_by_it_alone(
    request: pytest.FixtureRequest, model: str, method: ScoringMethod
) -> None:
    reranker: Reranker = request.getfixturevalue(model)
    options = ScoringOptions(method)
    image = SAMPLES / "basketball.jpg"
    conditions = reranker.conditions(QUERY, image, options=options)
    assert [condition.text for condition in conditions] == ["a basketball", "a blue background", "晴天"]
    for condition in conditions:
        reranker.clear_cache()
        (alone,) = reranker.rank(condition.text, [image], options=options)
        assert condition.score == pytest.approx(alone.score, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_query_of_one_part_has_its_own_score(demo: Reranker, method: ScoringMethod) -> None:
    options = ScoringOptions(method)
    (condition,) = demo.conditions("a banana", SAMPLES / "banana.jpg", options=options)
    (whole,) = demo.rank("a banana", [SAMPLES / "banana.jpg"], options=options)
    assert (condition.text, condition.score) == ("a banana", pytest.approx(whole.score, abs=1e-6))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "query",
    [
        "a basketball, a blue background",
        "篮球，蓝色背景",
        "a basketball on a blue background",
        "蓝色背景上的篮球",
    ],
)
def test_a_basketball_on_blue_beats_a_banana_on_both_conditions(
    demo: Reranker, query: str, method: ScoringMethod
) -> None:
    options = ScoringOptions(method)
    basketball = demo.conditions(query, SAMPLES / "basketball.jpg", options=options)
    banana = demo.conditions(query, SAMPLES / "banana.jpg", options=options)
    assert len(basketball) == len(banana) == 2
    for met, missed in zip(basketball, banana, strict=True):
        assert met.score > 8 and missed.score < 2.5


def test_the_condition_that_an_image_misses_is_the_weak_one(demo: Reranker) -> None:
    ball, background = demo.conditions("a basketball, a blue background", SAMPLES / "cat.jpg")
    assert ball.score < 2.5 and background.score > 8


def test_an_unusable_image_gives_every_part_its_problem(small: Reranker) -> None:
    conditions = small.conditions(QUERY, b"not a picture")
    assert [condition.text for condition in conditions] == list(split_conditions(QUERY))
    assert {condition.error for condition in conditions} == {"This is not a picture in a format that can be read."}
    assert {condition.score for condition in conditions} == {0.0}


def test_conditions_are_scored_with_the_options_of_the_ranking(small: Reranker) -> None:
    image = SAMPLES / "basketball.jpg"
    options = ScoringOptions("yes_no", "Find another image.", "whole", normalize=False)
    (condition, _) = small.conditions("A Basketball, RED", image, options=options)
    (alone,) = small.rank("A Basketball", [image], options=options)
    assert condition.score == pytest.approx(alone.score, abs=1e-6)
    assert condition.score != small.conditions("A Basketball, RED", image)[0].score


@pytest.mark.parametrize("query", ["", "，。"])
def test_an_unusable_query_is_refused(small: Reranker, query: str) -> None:
    with pytest.raises(QueryError):
        small.conditions(query, SAMPLES / "basketball.jpg")
