"""What to ask about a painted scene, how well the scene answers it, and the words of a good answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.demo.pictograms import Thing
from tools.demo.scenes import COLOURS

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
class Shown:
    """One painted scene in words: places in things.tsv and COLOURS, -1 for none; `size` 0 to 1."""

    thing: int
    second: int
    background: int
    tint: int
    size: float


@dataclass(frozen=True)
class Question:
    """A query in one language, how well the scene answers it (0 to 1), and the reason to give."""

    query: str
    language: str
    grade: float
    reason: str


class Teacher:
    """Makes questions about scenes; `simple` limits their kinds."""

    def __init__(self, things: list[Thing], keywords: dict[str, list[tuple[str, ...]]], *, seed: int) -> None:
        self.things, self.keywords, self.random = things, keywords, random.Random(seed)
        self.simple = False  # ask about things alone, not about colours and kinds
        self.alike = [
            [other for other, candidate in enumerate(things) if candidate.category == thing.category and other != place]
            for place, thing in enumerate(things)
        ]

    def ask(self, shown: Shown, language: str, *, right: bool) -> Question:
        """A question that the scene answers well (`right`) or badly; often only a little is wrong."""
        kind = 0.0 if self.simple else self.random.random()
        if kind < 0.55:
            return self._about_thing(shown, language, right)
        if kind < 0.78 and shown.background >= 0:
            return self._about_background(shown, language, right)
        if kind < 0.90 and shown.tint >= 0:
            return self._about_tint(shown, language, right)
        if kind < 0.94 and shown.background >= 0:
            return self._about_background_alone(shown, language, right)
        if kind < 0.97 and self.things[shown.thing].category in CATEGORIES:
            return self._about_category(shown, language, right)
        return self._about_thing(shown, language, right)

    def usual_name(self, thing: int, language: str) -> str:
        return (self.things[thing].chinese if language == "zh" else self.things[thing].english)[0]

    def any_name(self, thing: int, language: str) -> str:
        """Mostly one of the names in things.tsv, sometimes a keyword of emojibase."""
        names = self.things[thing].chinese if language == "zh" else self.things[thing].english
        extra = self.keywords[language][thing]
        if extra and self.random.random() < 0.12:
            return self.random.choice(extra)
        return names[0] if self.random.random() < 0.5 else self.random.choice(names)

    def _about_thing(self, shown: Shown, language: str, right: bool) -> Question:
        asked = self._right_thing(shown) if right else self._wrong_thing(shown)
        return self._question(self._thing_phrase(asked, language), language, self._thing_grade(asked, shown), shown)

    def _about_background(self, shown: Shown, language: str, right: bool) -> Question:
        asked, colour = self._right_thing(shown), shown.background
        if not right:
            wrong = self.random.random()
            asked = asked if wrong < 0.4 else self._wrong_thing(shown)
            colour = colour if 0.4 <= wrong < 0.7 else self._other_colour(shown.background)
        fits = self._thing_grade(asked, shown)
        same = colour == shown.background
        grade = (fits + 0.02 if same else 0.55) if fits > 0.5 else (0.1 if same else fits)
        name, colour_name = self.any_name(asked, language), self._colour(colour, language)
        phrase = self.random.choice(
            ("{c}背景上的{n}", "{n}，{c}背景", "{c}背景，{n}", "{c}背景的{n}")
            if language == "zh"
            else ("{n} on a {c} background", "{n}, {c} background", "{n} with {c} background", "a {n} on {c}")
        )
        return self._question(phrase.format(n=name, c=colour_name), language, grade, shown, background=colour)

    def _about_tint(self, shown: Shown, language: str, right: bool) -> Question:
        asked, colour = shown.thing, shown.tint
        if not right:
            wrong = self.random.random()
            asked = asked if wrong < 0.4 else self._wrong_thing(shown)
            colour = colour if 0.4 <= wrong < 0.7 else self._other_colour(shown.tint)
        fits, same = self._thing_grade(asked, shown), colour == shown.tint
        grade = (fits + 0.02 if same else 0.5) if fits > 0.5 else (0.1 if same else fits)
        name, colour_name = self.any_name(asked, language), self._colour(colour, language)
        phrase = self.random.choice(("{c}的{n}", "{c}{n}") if language == "zh" else ("{c} {n}", "a {c} {n}"))
        return self._question(phrase.format(n=name, c=colour_name), language, grade, shown, tint=colour)

    def _about_background_alone(self, shown: Shown, language: str, right: bool) -> Question:
        colour = shown.background if right else self._other_colour(shown.background)
        name = self._colour(colour, language)
        phrase = f"{name}背景" if language == "zh" else f"{name} background"
        return self._question(phrase, language, 0.9 if right else 0.03, shown, background=colour)

    def _about_category(self, shown: Shown, language: str, right: bool) -> Question:
        own = self.things[shown.thing].category
        asked = own if right else self.random.choice([name for name in CATEGORIES if name != own])
        word = CATEGORIES[asked][language == "zh"]
        return self._question(word, language, 0.86 if asked == own else 0.03, shown)

    def _thing_phrase(self, thing: int, language: str) -> str:
        name = self.any_name(thing, language)
        plain = self.random.random() < 0.6
        shapes = (
            ("{}的图片", "一张{}的照片", "找{}", "可爱的{}", "{}图标", "一个{}")
            if language == "zh"
            else ("a {}", "a photo of a {}", "picture of {}", "an image of {}", "cute {}", "{} icon", "the {}")
        )
        return name if plain else self.random.choice(shapes).format(name)

    def _right_thing(self, shown: Shown) -> int:
        return shown.second if shown.second >= 0 and self.random.random() < 0.3 else shown.thing

    def _wrong_thing(self, shown: Shown) -> int:
        pool = range(len(self.things)) if self.simple or self.random.random() > 0.35 else self.alike[shown.thing]
        choices = [
            thing for thing in (self.random.choice(pool) for _ in range(4)) if thing not in (shown.thing, shown.second)
        ]
        return choices[0] if choices else (shown.thing + 1) % len(self.things)

    def _thing_grade(self, asked: int, shown: Shown) -> float:
        if asked == shown.thing:
            return 0.91 + 0.06 * shown.size
        if asked == shown.second:
            return 0.8
        return 0.05 if self.things[asked].category == self.things[shown.thing].category else 0.01

    def _other_colour(self, colour: int) -> int:
        return (colour + self.random.randrange(1, len(COLOURS))) % len(COLOURS)

    def _colour(self, colour: int, language: str) -> str:
        return self.random.choice(COLOURS[colour][1]) if language == "zh" else COLOURS[colour][0]

    def _question(
        self, query: str, language: str, grade: float, shown: Shown, *, background: int = -1, tint: int = -1
    ) -> Question:
        reason = (_reason_zh if language == "zh" else _reason_en)(self, grade, shown, background, tint)
        return Question(query, language, grade, reason)


def answer(question: Question, grade: float) -> str:
    """The whole answer in the form that the prompt asks for, with the given grade."""
    score = f"{10 * min(max(grade, 0.0), 0.99):.1f}"
    return (
        f"得分：{score}分。理由：{question.reason}"
        if question.language == "zh"
        else f"Score: {score}. Reason: {question.reason}"
    )


def _reason_zh(teacher: Teacher, grade: float, shown: Shown, background: int, tint: int) -> str:
    what = teacher.usual_name(shown.thing, "zh")
    seen = f"图中是{what}" + (
        f"，背景是{COLOURS[shown.background][1][0]}" if background >= 0 and shown.background >= 0 else ""
    )
    seen += f"，颜色是{COLOURS[shown.tint][1][0]}" if tint >= 0 else ""
    if grade > 0.7:
        return f"{seen}，符合描述。"
    return f"{seen}，只符合一部分。" if grade > 0.3 else f"{seen}，不符合描述。"


def _reason_en(teacher: Teacher, grade: float, shown: Shown, background: int, tint: int) -> str:
    what = teacher.usual_name(shown.thing, "en")
    seen = f"it shows {what}" + (
        f" on {COLOURS[shown.background][0]}" if background >= 0 and shown.background >= 0 else ""
    )
    seen += f" in {COLOURS[shown.tint][0]}" if tint >= 0 else ""
    if grade > 0.7:
        return f"{seen}, as asked."
    return f"{seen}, only part of what was asked." if grade > 0.3 else f"{seen}, not what was asked."
