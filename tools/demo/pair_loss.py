"""The loss of sets of scenes against the queries of all members: yes or no, and the right one first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.candidate_sets import SET_SIZE
from tools.demo.losses import entropy
from tools.demo.pair_grades import PairGrader
from tools.demo.pair_questions import QueryMix, SceneQuery, SceneQuerySampler
from tools.demo.prompt_forward import yes_no_logit
from tools.demo.questions import SceneLabels
from tools.demo.scenes import Scene
from tools.demo.training_context import TrainingContext


@dataclass(frozen=True)
class Pairs:
    """The query of every scene with every scene of its set, query by query."""

    queries: list[SceneQuery]  # (pairs,)
    scene_index: list[int]  # (pairs,)
    scenes: list[SceneLabels]
    grade: Tensor  # (pairs,), negative: unknown

    @classmethod
    def sample(cls, sampler: SceneQuerySampler, grader: PairGrader, scene: Scene, mixes: list[QueryMix]) -> Pairs:
        """scene: one set of SET_SIZE after the other, each with its own mix of queries."""
        scenes, absent_colors = SceneLabels.of(scene), scene.absent_colors.tolist()
        queries, scene_index, grades = [], [], []
        for number, mix in enumerate(mixes):
            members = range(number * SET_SIZE, (number + 1) * SET_SIZE)
            for source in members:
                query = sampler.sample(scenes[source], mix)
                queries += [query] * SET_SIZE
                scene_index += members
                grades += [grader.grade(query, scenes[index], absent_colors[index]) for index in members]
        return cls(queries, scene_index, scenes, torch.tensor(grades))


def score_pairs(context: TrainingContext, model: nn.Module, tokens: Tensor, pairs: Pairs) -> Tensor:
    """(pairs,) logits of yes. tokens: (scenes, 16, hidden)."""
    return yes_no_logit(context, model, tokens[pairs.scene_index], [query.text for query in pairs.queries]).float()


def pair_loss(grade: Tensor, logit: Tensor) -> tuple[Tensor, dict[str, float]]:
    """(loss, metrics): yes or no for every pair, the right scene first in its set, and the right query first of those
    asked about the scene. grade and logit: (pairs,).
    """
    grade = grade.to(logit.device)
    yes_no = _weighted_yes_no(grade, logit)
    by_query, query_grade = logit.view(-1, SET_SIZE), grade.view(-1, SET_SIZE)
    own = torch.arange(len(by_query), device=logit.device) % SET_SIZE
    rival = (query_grade >= 0) & (query_grade < query_grade.gather(1, own[:, None]) - 0.12)
    contested, masked = rival.any(1), _mask_others(by_query, own, rival)
    ranking = F.cross_entropy(masked, own, reduction="none")[contested].mean()
    by_scene, scene_grade = (
        values.view(-1, SET_SIZE, SET_SIZE).transpose(1, 2).reshape(-1, SET_SIZE) for values in (logit, grade)
    )
    query_rival = (scene_grade >= 0) & (scene_grade < 0.3)
    query_ranking = F.cross_entropy(_mask_others(by_scene, own, query_rival), own)
    score, irrelevant = 10 * torch.sigmoid(logit.detach()), (grade >= 0) & (grade < 0.1)
    metrics = {
        "yes_no": yes_no.item(),
        "ranking": ranking.item(),
        "first": (masked.argmax(1) == own)[contested].float().mean().item(),
        "relevant": score[grade > 0.85].mean().item(),
        "irrelevant": score[irrelevant].mean().item(),
        "false_positives": (score[irrelevant] > 2.5).float().mean().item(),
    }
    return yes_no + 0.5 * ranking + 0.25 * query_ranking, metrics


def _weighted_yes_no(grade: Tensor, logit: Tensor) -> Tensor:
    """Cross-entropy of yes and no over the known pairs; the few that match weigh about as much as the others."""
    truth = grade.clamp(min=0)
    weight = torch.where(truth > 0.3, SET_SIZE / 3.0, 1.0) * (grade >= 0)
    loss = F.binary_cross_entropy_with_logits(logit, truth, reduction="none") - entropy(truth)
    return (loss * weight).sum() / weight.sum()


def _mask_others(logits: Tensor, own: Tensor, rival: Tensor) -> Tensor:
    """(rows, SET_SIZE) logits of the `own` column and of those that are a `rival`; the others cannot win."""
    columns = torch.arange(SET_SIZE, device=logits.device)
    return logits.masked_fill(~rival & (columns != own[:, None]), -1e4)
