"""Questions about rendered scenes, for training the demo checkpoint."""

from __future__ import annotations

import random

import pytest

from tools.demo.pictograms import read_things
from tools.demo.questions import Question, QuestionSampler, SceneLabels

THINGS = read_things()
NO_KEYWORDS = {language: [() for _ in THINGS] for language in ("zh", "en")}


def sample(count: int, *, relevant: bool, seed: int = 1, language: str = "en") -> list[Question]:
    sampler, rng = QuestionSampler(THINGS, NO_KEYWORDS, seed=seed), random.Random(seed)
    scenes = (
        SceneLabels(rng.randrange(len(THINGS)), -1, rng.randrange(-1, 12), rng.randrange(-1, 12), rng.random())
        for _ in range(count)
    )
    return [sampler.sample(scene, language, relevant=relevant) for scene in scenes]


def test_the_same_seed_asks_the_same_questions() -> None:
    assert sample(50, relevant=True) == sample(50, relevant=True)
    assert sample(50, relevant=True) != sample(50, relevant=True, seed=2)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_relevant_questions_have_high_grades_and_others_low_ones(language: str) -> None:
    assert all(question.grade > 0.7 for question in sample(300, relevant=True, language=language))
    assert all(question.grade < 0.7 for question in sample(300, relevant=False, language=language))
