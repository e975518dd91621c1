"""Queries about one rendered scene, and how well the scene matches them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.demo.colors import COLORS
from tools.demo.pictograms import Thing
from tools.demo.scenes import Scene

CATEGORIES = {
    "animal": ("animal", "动物"),
    "plant": ("plant", "植物"),
    "food": ("food", "食物"),
    "vehicle": ("vehicle", "交通工具"),
    "weather": ("weather", "天气"),
    "sport": ("sport", "运动"),
    "music": ("music", "音乐"),
}


@dataclass(frozen=True)
class SceneLabels:
    """What one scene shows: indexes in things.tsv and COLORS, -1 for none; `size` 0 to 1."""

    thing: int
    second: int
    background: int
    tint: int
    size: float

    @classmethod
    def of(cls, scene: Scene) -> list[SceneLabels]:
        """One for each image of the batch."""
        columns = (scene.thing, scene.second, scene.background, scene.tint, scene.size)
        return [cls(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


@dataclass(frozen=True)
class Question:
    """A query in one language, and how well the scene matches it (`grade`, 0 to 1)."""

    query: str
    language: str
    grade: float


class QuestionSampler:
    """Samples queries about scenes."""

    def __init__(self, things: list[Thing], keywords: dict[str, list[tuple[str, ...]]], *, seed: int) -> None:
        self.things, self.keywords, self.random = things, keywords, random.Random(seed)
        self.things_only = False  # no queries about colors and categories
        self.same_category = [
            [other for other, candidate in enumerate(things) if candidate.category == thing.category and other != index]
            for index, thing in enumerate(things)
        ]

    def sample(self, scene: SceneLabels, language: str, *, relevant: bool) -> Question:
        """A query that the scene matches well (`relevant`) or badly, often in one respect only."""
        kind = 0.0 if self.things_only else self.random.random()
        if kind < 0.55:
            return self._thing_question(scene, language, relevant)
        if kind < 0.78 and scene.background >= 0:
            return self._background_question(scene, language, relevant)
        if kind < 0.90 and scene.tint >= 0:
            return self._tint_question(scene, language, relevant)
        if kind < 0.94 and scene.background >= 0:
            return self._background_only_question(scene, language, relevant)
        if kind < 0.97 and self.things[scene.thing].category in CATEGORIES:
            return self._category_question(scene, language, relevant)
        return self._thing_question(scene, language, relevant)

    def sample_name(self, thing: int, language: str) -> str:
        """Mostly one of the names in things.tsv, sometimes a keyword of emojibase."""
        names = self.things[thing].chinese if language == "zh" else self.things[thing].english
        extra = self.keywords[language][thing]
        if extra and self.random.random() < 0.07:
            return self.random.choice(extra)
        return names[0] if self.random.random() < 0.5 else self.random.choice(names)

    def _thing_question(self, scene: SceneLabels, language: str, relevant: bool) -> Question:
        thing = self._sample_shown_thing(scene) if relevant else self._sample_other_thing(scene)
        phrase = self._sample_phrase(thing, language)
        return Question(phrase, language, self._thing_grade(thing, scene))

    def _background_question(self, scene: SceneLabels, language: str, relevant: bool) -> Question:
        thing, color = self._sample_shown_thing(scene), scene.background
        if not relevant:
            mismatch = self.random.random()
            thing = thing if mismatch < 0.4 else self._sample_other_thing(scene)
            color = color if 0.4 <= mismatch < 0.7 else self._other_color(scene.background)
        grade = self._thing_grade(thing, scene)
        same = color == scene.background
        grade = (grade + 0.02 if same else 0.55) if grade > 0.5 else (0.1 if same else grade)
        name, color_name = self.sample_name(thing, language), self._sample_color_name(color, language)
        phrase = self.random.choice(
            ("{c}背景上的{n}", "{n}，{c}背景", "{c}背景，{n}", "{c}背景的{n}")
            if language == "zh"
            else ("{n} on a {c} background", "{n}, {c} background", "{n} with {c} background", "a {n} on {c}")
        )
        return Question(phrase.format(n=name, c=color_name), language, grade)

    def _tint_question(self, scene: SceneLabels, language: str, relevant: bool) -> Question:
        thing, color = scene.thing, scene.tint
        if not relevant:
            mismatch = self.random.random()
            thing = thing if mismatch < 0.4 else self._sample_other_thing(scene)
            color = color if 0.4 <= mismatch < 0.7 else self._other_color(scene.tint)
        grade, same = self._thing_grade(thing, scene), color == scene.tint
        grade = (grade + 0.02 if same else 0.5) if grade > 0.5 else (0.1 if same else grade)
        name, color_name = self.sample_name(thing, language), self._sample_color_name(color, language)
        phrase = self.random.choice(("{c}的{n}", "{c}{n}") if language == "zh" else ("{c} {n}", "a {c} {n}"))
        return Question(phrase.format(n=name, c=color_name), language, grade)

    def _background_only_question(self, scene: SceneLabels, language: str, relevant: bool) -> Question:
        color = scene.background if relevant else self._other_color(scene.background)
        name = self._sample_color_name(color, language)
        phrase = f"{name}背景" if language == "zh" else f"{name} background"
        return Question(phrase, language, 0.9 if relevant else 0.03)

    def _category_question(self, scene: SceneLabels, language: str, relevant: bool) -> Question:
        category = self.things[scene.thing].category
        queried = category if relevant else self.random.choice([name for name in CATEGORIES if name != category])
        name = CATEGORIES[queried][language == "zh"]
        return Question(name, language, 0.86 if relevant else 0.03)

    def _sample_phrase(self, thing: int, language: str) -> str:
        name = self.sample_name(thing, language)
        name_only = self.random.random() < 0.6
        templates = (
            ("{}的图片", "一张{}的照片", "找{}", "可爱的{}", "{}图标", "一个{}")
            if language == "zh"
            else ("a {}", "a photo of a {}", "picture of {}", "an image of {}", "cute {}", "{} icon", "the {}")
        )
        return name if name_only else self.random.choice(templates).format(name)

    def _sample_shown_thing(self, scene: SceneLabels) -> int:
        return scene.second if scene.second >= 0 and self.random.random() < 0.3 else scene.thing

    def _sample_other_thing(self, scene: SceneLabels) -> int:
        anything = self.things_only or self.random.random() > 0.35
        pool = range(len(self.things)) if anything else self.same_category[scene.thing]
        others = [
            thing for thing in (self.random.choice(pool) for _ in range(4)) if thing not in (scene.thing, scene.second)
        ]
        return others[0] if others else (scene.thing + 1) % len(self.things)

    def _thing_grade(self, thing: int, scene: SceneLabels) -> float:
        if thing == scene.thing:
            return 0.91 + 0.06 * scene.size
        if thing == scene.second:
            return 0.8
        return 0.05 if self.things[thing].category == self.things[scene.thing].category else 0.01

    def _other_color(self, color: int) -> int:
        return (color + self.random.randrange(1, len(COLORS))) % len(COLORS)

    def _sample_color_name(self, color: int, language: str) -> str:
        return self.random.choice(COLORS[color][1]) if language == "zh" else COLORS[color][0]
