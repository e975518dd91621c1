"""How well a scene matches a query, and the reason to write."""

from __future__ import annotations

from tools.demo.colors import COLORS
from tools.demo.concept_groups import concept_groups
from tools.demo.near_synonyms import near_synonym_grades
from tools.demo.pair_questions import SceneQuery
from tools.demo.pictograms import Thing
from tools.demo.questions import SceneLabels

UNKNOWN = -1.0  # the grade of a pair that the labels cannot decide


class PairGrader:
    """Grades pairs of query and scene."""

    def __init__(self, things: list[Thing]) -> None:
        self.things = things
        self.groups, self.near_synonyms = concept_groups(things), near_synonym_grades(things)

    def grade(self, query: SceneQuery, scene: SceneLabels, absent_colors: list[bool]) -> float:
        """0 to 1, or UNKNOWN. absent_colors: for each of COLORS, whether the thing surely has nothing of it."""
        if query.group >= 0:
            return self._group_grade(query.group, scene)
        if not query.things:
            return 0.95 if query.background == scene.background else 0.02
        grades = [self._thing_grade(thing, scene) for thing in query.things]
        if len(grades) == 2:
            return (0.03, 0.5, 0.97)[sum(grade > 0.75 for grade in grades)]
        if query.background >= 0:
            return _background_grade(grades[0], same=query.background == scene.background)
        if query.tint >= 0:
            if query.things[0] == scene.second:
                return UNKNOWN
            return _tint_grade(grades[0], same=query.tint == scene.tint, absent=absent_colors[query.tint])
        return grades[0]

    def reason(self, query: SceneQuery, grade: float, scene: SceneLabels) -> str:
        """A short sentence: what the image shows, and whether that is what was asked for."""
        shown = [scene.thing]
        if scene.second >= 0 and (len(query.things) == 2 or scene.second in query.things):
            shown.append(scene.second)
        background = scene.background if query.background >= 0 else -1
        tint = scene.tint if query.tint >= 0 else -1
        if query.language == "zh":
            names = "和".join(self.things[thing].chinese[0] for thing in shown)
            return _reason_zh(names, grade, background, tint)
        return _reason_en(" and ".join(self.things[thing].english[0] for thing in shown), grade, background, tint)

    def _group_grade(self, index: int, scene: SceneLabels) -> float:
        group, shown = self.groups[index], {scene.thing, scene.second} - {-1}
        if shown & group.members:
            return 0.93
        return UNKNOWN if shown & group.borderline else 0.02

    def _thing_grade(self, thing: int, scene: SceneLabels) -> float:
        """Highest where the thing is alone; near synonyms match in part."""
        near = [self.near_synonyms.get((thing, shown), 0.0) for shown in (scene.thing, scene.second)]
        if thing == scene.thing:
            near.append(0.97 if scene.second < 0 else 0.84)
        elif thing == scene.second:
            near.append(0.8)
        return max(0.01, *near)


def answer(language: str, grade: float, reason: str) -> str:
    """The whole answer in the form that the prompt asks for."""
    score = f"{10 * min(max(grade, 0.0), 0.99):.1f}"
    return f"得分：{score}分。理由：{reason}" if language == "zh" else f"Score: {score}. Reason: {reason}"


def _background_grade(grade: float, *, same: bool) -> float:
    if grade > 0.1:
        return grade if same else 0.42 * grade
    return 0.08 if same else 0.01


def _tint_grade(grade: float, *, same: bool, absent: bool) -> float:
    if grade > 0.1:
        return grade if same else 0.4 * grade if absent else UNKNOWN
    return 0.04 if same else 0.01


def _reason_zh(names: str, grade: float, background: int, tint: int) -> str:
    content = f"图中是{names}"
    content += f"，背景是{COLORS[background][1][0]}" if background >= 0 else ""
    content += f"，颜色是{COLORS[tint][1][0]}" if tint >= 0 else ""
    return f"{content}，{'符合描述' if grade > 0.7 else '只符合一部分' if grade > 0.25 else '不符合描述'}。"


def _reason_en(names: str, grade: float, background: int, tint: int) -> str:
    content = f"it shows {names}"
    content += f" on {COLORS[background][0]}" if background >= 0 else ""
    content += f" in {COLORS[tint][0]}" if tint >= 0 else ""
    match = "as asked" if grade > 0.7 else "only part of what was asked" if grade > 0.25 else "not what was asked"
    return f"{content}, {match}."
