"""Queries that are compared with every scene of a group, so that right and wrong scenes stand side by side."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from lychee_rerank.text.query import normalize_query
from tools.demo.colors import COLORS
from tools.demo.concept_groups import ConceptGroup
from tools.demo.questions import QuestionSampler, SceneLabels

MEASURE_WORDS = {
    "animal": ("一只", "一只", "一头", "一条"),
    "plant": ("一朵", "一棵", "一束"),
    "food": ("一个", "一块", "一份", "一杯", "一根"),
    "vehicle": ("一辆", "一辆", "一架", "一艘", "一列"),
    "place": ("一座", "一栋"),
    "household": ("一个", "一把", "一件", "一台", "一条", "一副", "一部"),
    "music": ("一把", "一架"),
}
# What sun and snowflake stand for: as the second thing of a scene, and as another name.
SETTINGS = {"sun": ("{} at sunset", "日落时的{}"), "snowflake": ("{} in the snow", "雪中的{}")}
ALIASES = {"sun": (("sunset",), ("日落", "夕阳")), "snowflake": (("snow",), ("雪",))}
THING_TEMPLATES = {
    "zh": ("{}的图片", "一张{}的照片", "找{}", "可爱的{}", "{}图标", "一个{}", "有{}的图片", "{}的照片"),
    "en": ("a photo of a {}", "picture of {}", "an image of {}", "cute {}", "{} icon", "the {}", "picture of a {}"),
}
BOTH_TEMPLATES = {
    "zh": ("{}和{}", "{}与{}", "{}、{}", "一个{}和一个{}", "{}，{}"),
    "en": ("{} and {}", "a {} and a {}", "a {} with a {}", "{}, {}", "a {} next to a {}"),
}
TINT_TEMPLATES = {
    "zh": ("{c}的{n}", "{c}{n}", "{c}{n}", "一个{c}的{n}", "{s}{n}", "{c}的{n}的图片"),
    "en": ("{c} {n}", "a {c} {n}", "a {c} {n}", "the {c} {n}", "a photo of a {c} {n}"),
}
BACKGROUND_ONLY_TEMPLATES = {
    "zh": ("{c}背景", "{c}的背景", "背景是{c}", "在{c}背景上"),
    "en": ("{c} background", "a {c} background", "on a {c} background", "with a {c} background"),
}
BACKGROUND_TEMPLATES = {
    "zh": ("{c}背景上的{n}", "{c}背景上的{n}", "{n}，{c}背景", "{c}背景，{n}", "{c}背景的{n}", "{c}背景里的{n}"),
    "en": (
        "{n} on a {c} background",
        "a {n} on a {c} background",
        "{n}, {c} background",
        "{n} with {c} background",
        "a {n} on {c}",
    ),
}


@dataclass(frozen=True)
class SceneQuery:
    """A query and what it asks for: all of `things`, a background, the thing's own color, or a member of the concept
    group; -1 for none.
    """

    text: str
    language: str
    things: tuple[int, ...] = ()
    background: int = -1
    tint: int = -1
    group: int = -1


@dataclass(frozen=True)
class QueryMix:
    """Shares of queries about a color, a concept group, and both things where there are two."""

    color: float = 0.2
    group: float = 0.08
    both: float = 0.4


class SceneQuerySampler:
    """Samples queries that a scene matches."""

    def __init__(self, names: QuestionSampler, groups: list[ConceptGroup], *, seed: int) -> None:
        self.names, self.things, self.groups = names, names.things, groups
        self.random = random.Random(seed)

    def sample(self, scene: SceneLabels, mix: QueryMix) -> SceneQuery:
        """A query for something that the scene shows."""
        rng, language = self.random, self.random.choice(("zh", "en"))
        if scene.second >= 0 and rng.random() < mix.both:
            return self._both_query(scene, language)
        thing = scene.second if scene.second >= 0 and rng.random() < 0.35 else scene.thing
        if rng.random() < mix.color:
            targets = [target for target in ("background", "tint") if getattr(scene, target) >= 0]
            if thing == scene.second:
                targets = [target for target in targets if target == "background"]
            if targets:
                return self._color_query(scene, thing, rng.choice(targets), language)
        if rng.random() < mix.group:
            groups = [index for index, group in enumerate(self.groups) if thing in group.members]
            if groups:
                return self._group_query(rng.choice(groups), language)
        return _build_query(self._sample_phrase(thing, language), language, (thing,))

    def _group_query(self, index: int, language: str) -> SceneQuery:
        group = self.groups[index]
        word = self.random.choice(group.chinese if language == "zh" else group.english)
        return _build_query(self._phrase(word, language), language, group=index)

    def _sample_phrase(self, thing: int, language: str) -> str:
        name, main_name = self.names.sample_name(thing, language), self.things[thing].english[0]
        if main_name in ALIASES and self.random.random() < 0.15:
            name = self.random.choice(ALIASES[main_name][language == "zh"])
        return self._phrase(name, language, self.things[thing].category)

    def _phrase(self, name: str, language: str, category: str = "") -> str:
        """The name alone, with an article or a measure word, or in a template."""
        choice = self.random.random()
        if choice < 0.5:
            return name
        if language == "zh":
            measure_word = self.random.choice(MEASURE_WORDS.get(category, ("一个",)))
            if choice < 0.75:
                return measure_word + name
        elif choice < 0.8:
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
        return self.random.choice(THING_TEMPLATES[language]).format(name)

    def _both_query(self, scene: SceneLabels, language: str) -> SceneQuery:
        things = [scene.thing, scene.second]
        setting = SETTINGS.get(self.things[scene.second].english[0])
        if setting and self.random.random() < 0.6:
            text = setting[language == "zh"].format(self.names.sample_name(scene.thing, language))
            return _build_query(text, language, tuple(things))
        self.random.shuffle(things)
        names = [self.names.sample_name(thing, language) for thing in things]
        return _build_query(self.random.choice(BOTH_TEMPLATES[language]).format(*names), language, tuple(things))

    def _color_query(self, scene: SceneLabels, thing: int, target: str, language: str) -> SceneQuery:
        color = getattr(scene, target)
        word = self.random.choice(COLORS[color][1]) if language == "zh" else COLORS[color][0]
        name = self.names.sample_name(thing, language)
        if target == "tint":
            short = word.removesuffix("色")
            short = short if language == "zh" and len(short) == 1 else word
            text = self.random.choice(TINT_TEMPLATES[language]).format(c=word, n=name, s=short)
            return _build_query(text, language, (thing,), tint=color)
        if self.random.random() < 0.35:
            text = self.random.choice(BACKGROUND_ONLY_TEMPLATES[language]).format(c=word)
            return _build_query(text, language, background=color)
        return self._background_query(thing, name, color, word, language)

    def _background_query(self, thing: int, name: str, color: int, word: str, language: str) -> SceneQuery:
        phrase, templates = name, BACKGROUND_TEMPLATES[language]
        if self.random.random() < 0.3:
            phrase = self._phrase(name, language, self.things[thing].category)
        if language == "en" and phrase != name:
            templates = ("{n} on a {c} background", "{n} with a {c} background")
        text = self.random.choice(templates).format(n=phrase, c=word)
        return _build_query(text, language, (thing,), background=color)


def _build_query(text: str, language: str, things: tuple[int, ...] = (), **fields: int) -> SceneQuery:
    return SceneQuery(_normalize(text), language, things, **fields)


@cache
def _normalize(text: str) -> str:
    return normalize_query(text).normalized
