"""How well scenes match queries that are asked of several scenes, for training the demo checkpoint."""

from __future__ import annotations

import pytest

from lychee_rerank import parse_score
from tools.demo.colors import COLORS
from tools.demo.pair_grades import UNKNOWN, PairGrader, answer
from tools.demo.pair_questions import SceneQuery
from tools.demo.pictograms import read_things
from tools.demo.questions import SceneLabels

INDEX = {thing.english[0]: index for index, thing in enumerate(read_things())}
GRADER = PairGrader(read_things())
RED, BLUE = 0, 5
LACKS_NOTHING, LACKS_EVERYTHING = [False] * len(COLORS), [True] * len(COLORS)


def labels(thing: str, second: str = "", *, background: int = -1, tint: int = -1) -> SceneLabels:
    return SceneLabels(INDEX[thing], INDEX.get(second, -1), background, tint, 0.9)


def query(*things: str, background: int = -1, tint: int = -1, group: str = "") -> SceneQuery:
    groups = [index for index, entry in enumerate(GRADER.groups) if group in entry.english]
    indexes = tuple(INDEX[thing] for thing in things)
    return SceneQuery("", "en", indexes, background, tint, groups[0] if group else -1)


def grade(wanted: SceneQuery, scene: SceneLabels, absent_colors: list[bool] = LACKS_NOTHING) -> float:
    return GRADER.grade(wanted, scene, absent_colors)


def test_near_synonyms_match_in_part_and_less_the_other_way_round() -> None:
    assert grade(query("car"), labels("car")) > grade(query("car"), labels("taxi")) == 0.7
    assert 0.1 < grade(query("taxi"), labels("car")) < grade(query("car"), labels("taxi"))
    assert grade(query("car"), labels("banana")) < 0.1


def test_a_thing_beside_another_matches_less_than_one_alone() -> None:
    alone, first, second = labels("cat"), labels("cat", "dog"), labels("dog", "cat")
    assert grade(query("cat"), alone) > grade(query("cat"), first) > grade(query("cat"), second) > 0.7


def test_of_two_things_asked_for_one_matches_by_half() -> None:
    grades = [grade(query("cat", "dog"), scene) for scene in (labels("dog", "cat"), labels("cat"), labels("car"))]
    assert grades == [0.97, 0.5, 0.03]


def test_members_of_a_group_match_and_borderline_ones_have_no_grade() -> None:
    scenes = labels("apple"), labels("tomato"), labels("guitar")
    assert [grade(query(group="fruit"), scene) for scene in scenes] == [0.93, UNKNOWN, 0.02]


def test_the_wrong_color_matches_in_part() -> None:
    red = labels("car", background=RED)
    assert grade(query("car", background=RED), red) > 0.9
    assert 0.3 < grade(query("car", background=BLUE), red) < 0.5
    assert grade(query("cat", background=RED), red) < 0.1


def test_the_color_of_a_thing_is_only_wrong_where_the_thing_surely_lacks_it() -> None:
    wanted, scene = query("car", tint=BLUE), labels("car", tint=RED)
    assert grade(wanted, scene) == UNKNOWN
    assert 0.3 < grade(wanted, scene, LACKS_EVERYTHING) < 0.5


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("match", [0.0, 0.43, 0.97, 1.0])
def test_the_app_reads_the_score_of_every_answer(language: str, match: float) -> None:
    wanted = SceneQuery("", language, (INDEX["cat"],), background=RED)
    reason = GRADER.reason(wanted, match, labels("cat", background=RED))
    parsed = parse_score(answer(language, match, reason))
    assert (parsed.tier, parsed.value) == ("primary", round(10 * min(match, 0.99), 1))


def test_the_reason_names_what_was_asked_about_and_how_far_it_matches() -> None:
    scene = labels("cat", "dog", background=RED)
    assert GRADER.reason(query("cat", "dog"), 0.97, scene) == "it shows cat and dog, as asked."
    wanted = query("cat", background=BLUE)
    assert GRADER.reason(wanted, 0.4, scene) == "it shows cat on red, only part of what was asked."
