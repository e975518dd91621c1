"""Sets of scenes that are all compared with each other's queries, for training the demo checkpoint."""

from __future__ import annotations

import random

import pytest
import torch

from tools.demo.candidate_sets import SET_SIZE
from tools.demo.colors import COLORS
from tools.demo.concept_groups import concept_groups
from tools.demo.pair_grades import PairGrader
from tools.demo.pair_loss import Pairs, pair_loss
from tools.demo.pair_questions import QueryMix, SceneQuerySampler
from tools.demo.pictograms import read_things
from tools.demo.questions import QuestionSampler, SceneLabels
from tools.demo.scenes import Scene

THINGS = read_things()
NO_KEYWORDS = {language: [() for _ in THINGS] for language in ("zh", "en")}


def random_scene(batch: int, seed: int) -> Scene:
    """Labels without images."""
    rng = random.Random(seed)
    column = lambda low, high: torch.tensor([rng.randrange(low, high) for _ in range(batch)])  # noqa: E731
    empty = torch.zeros(batch, 16)
    return Scene(
        images=empty,
        thing=column(0, len(THINGS)),
        second=torch.where(column(0, 2) > 0, column(0, len(THINGS)), -1),
        background=column(-1, len(COLORS)),
        tint=column(-1, len(COLORS)),
        size=torch.ones(batch),
        absent_colors=torch.ones(batch, len(COLORS), dtype=torch.bool),
        thing_coverage=empty,
        second_coverage=empty,
    )


def sample_pairs(mixes: list[QueryMix], seed: int = 1) -> Pairs:
    names = QuestionSampler(THINGS, NO_KEYWORDS, seed=seed)
    sampler = SceneQuerySampler(names, concept_groups(THINGS), seed=seed)
    return Pairs.sample(sampler, PairGrader(THINGS), random_scene(SET_SIZE * len(mixes), seed), mixes)


def test_every_query_meets_all_scenes_of_its_set_and_no_other() -> None:
    pairs = sample_pairs([QueryMix(), QueryMix()])
    assert len(pairs.queries) == len(pairs.grade) == 2 * SET_SIZE**2
    for start in range(0, len(pairs.queries), SET_SIZE):
        first = start // SET_SIZE**2 * SET_SIZE
        assert len(set(pairs.queries[start : start + SET_SIZE])) == 1
        assert pairs.scene_index[start : start + SET_SIZE] == list(range(first, first + SET_SIZE))


def test_a_scene_matches_its_own_query_best_of_all() -> None:
    grade = sample_pairs([QueryMix()] * 30).grade.view(-1, SET_SIZE)
    own = grade.gather(1, (torch.arange(len(grade)) % SET_SIZE)[:, None])
    assert (own > 0.7).all()


@pytest.mark.parametrize(
    ("mix", "about_groups"), [(QueryMix(color=0, group=0), False), (QueryMix(color=0, group=1), True)]
)
def test_the_mix_says_what_the_queries_are_about(mix: QueryMix, about_groups: bool) -> None:
    sampler = SceneQuerySampler(QuestionSampler(THINGS, NO_KEYWORDS, seed=2), concept_groups(THINGS), seed=2)
    grouped = {thing for group in concept_groups(THINGS) for thing in group.members}
    queries = [sampler.sample(SceneLabels(thing, -1, 0, 0, 1.0), mix) for thing in sorted(grouped)]
    assert all((query.group >= 0) == about_groups for query in queries)
    assert all(query.background < 0 and query.tint < 0 for query in queries)


def test_logits_that_follow_the_grades_have_less_loss_than_reversed_ones() -> None:
    grade = sample_pairs([QueryMix()] * 4).grade
    logit = torch.logit(grade.clamp(0.01, 0.99))
    (good, metrics), (bad, reversed_metrics) = pair_loss(grade, logit), pair_loss(grade, -logit)
    assert good < 0.5 < bad
    assert metrics["first"] == 1.0 > reversed_metrics["first"]
    assert metrics["relevant"] > 8 > 1 > metrics["irrelevant"]


def test_pairs_without_a_grade_do_not_change_the_loss() -> None:
    grade = sample_pairs([QueryMix(color=0, group=0)] * 2).grade
    unknown = grade < 0.1
    grade[unknown.nonzero()[::3, 0]] = -1.0
    logit = torch.randn(len(grade), generator=torch.Generator().manual_seed(3))
    changed = torch.where(grade < 0, logit + 5, logit)
    torch.testing.assert_close(pair_loss(grade, logit)[0], pair_loss(grade, changed)[0])
