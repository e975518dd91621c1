"""The losses of single scenes: image tokens against words, and yes or no against how well a scene matches a query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.network import SIDE
from tools.demo.prompt_forward import yes_no_logit
from tools.demo.questions import Question, SceneLabels
from tools.demo.scenes import Scene
from tools.demo.training_context import TrainingContext


def alignment_loss(
    context: TrainingContext, model: nn.Module, tokens: Tensor, scene: Scene, scale: Tensor | float
) -> tuple[Tensor, float]:
    """(loss, accuracy of the English names): cross-entropy of the right name among all names in Chinese and English,
    of the second thing's name where that one is, of the two colors and of a word for the thing's group.

    tokens: (batch, 16, hidden); scale: the inverse temperature. The tokens' unit vectors are averaged, so that each
    one comes to carry what the whole image shows.
    """
    embed = model.model.language_model.embed_tokens.weight
    tokens, scene = F.normalize(tokens, dim=-1), scene.to(tokens.device)
    features = _thing_features(tokens, scene)
    second_weight = scene.second_coverage * (scene.second_coverage > 0.3)
    paired = (second_weight.sum(1) > 0).nonzero()[:, 0]
    second_features = _weighted_mean(tokens[paired], second_weight[paired])
    total = torch.zeros((), device=tokens.device)
    for language in ("zh", "en"):
        names = F.normalize(context.name_embeddings(embed, language), dim=-1)
        logits = scale * features @ names.T
        total = total + F.cross_entropy(logits, scene.thing, label_smoothing=0.05)
        if len(paired):
            second = F.cross_entropy(scale * second_features @ names.T, scene.second[paired], label_smoothing=0.05)
            total = total + second * len(paired) / len(tokens)
    total = total + _color_loss(F.normalize(context.color_embeddings(embed), dim=-1), tokens, scene, scale)
    total = total + 0.3 * _group_loss(context, embed, features, scene.thing, scale)
    return total / 2, (logits.argmax(1) == scene.thing).float().mean().item()


def border_tokens() -> list[int]:
    """Indexes of the image tokens along the border."""
    return [row * SIDE + column for row in range(SIDE) for column in range(SIDE) if {row, column} & {0, SIDE - 1}]


def yes_no_loss(
    context: TrainingContext, model: nn.Module, tokens: Tensor, scene: Scene, queries: int, *, short: bool
) -> tuple[Tensor, float]:
    """Cross-entropy of yes and no against how well each scene matches its queries, and the accuracy.

    tokens: (batch, 16, hidden); `queries` for each scene; `short` leaves the instructions out of the prompt.
    """
    questions = _sample_questions(context, scene, queries)
    grade = torch.tensor([question.grade for question in questions], device=tokens.device)
    texts = [question.query for question in questions]
    logit = yes_no_logit(context, model, tokens.repeat_interleave(queries, 0), texts, short=short)
    loss = F.binary_cross_entropy_with_logits(logit, grade) - entropy(grade).mean()
    return loss, ((logit > 0) == (grade > 0.5)).float().mean().item()


def entropy(grade: Tensor) -> Tensor:
    """The minimum of the cross-entropy, subtracted so that a loss of 0 means perfect."""
    return -(torch.xlogy(grade, grade) + torch.xlogy(1 - grade, 1 - grade))


def _thing_features(tokens: Tensor, scene: Scene) -> Tensor:
    """(batch, hidden): the mean of the tokens outside of the second thing, or of all where it is everywhere."""
    outside = (scene.second_coverage < 0.3).float()
    return _weighted_mean(tokens, torch.where(outside.sum(1, keepdim=True) > 0, outside, 1.0))


def _color_loss(colors: Tensor, tokens: Tensor, scene: Scene, scale: Tensor | float) -> Tensor:
    """The background's color at the border, and the thing's own color where the thing is. colors: (colors, hidden)."""
    plain = (scene.background >= 0).nonzero()[:, 0]
    border = tokens[plain][:, border_tokens()].mean(1)
    total = 0.4 * F.cross_entropy(scale * border @ colors.T, scene.background[plain])
    tinted = ((scene.tint >= 0) & (scene.thing_coverage.sum(1) > 0.5)).nonzero()[:, 0]
    if len(tinted):
        features = _weighted_mean(tokens[tinted], scene.thing_coverage[tinted])
        own = F.cross_entropy(scale * features @ colors.T, scene.tint[tinted])
        total = total + 0.5 * own * len(tinted) / len(tokens)
    return total


def _group_loss(
    context: TrainingContext, embed: Tensor, features: Tensor, thing: Tensor, scale: Tensor | float
) -> Tensor:
    """Cross-entropy of a word for the thing's concept group among those of all groups; things of no group do not count.
    Without it, no image token is like "animal", and a guitar scores as a fruit.
    """
    words = F.normalize(context.group_embeddings(embed), dim=-1)
    membership = context.group_membership.to(thing.device)[thing]
    logits = (scale * features @ words.T).masked_fill(membership < 0, -1e4)
    grouped = (membership > 0).any(1).nonzero()[:, 0]
    if not len(grouped):
        return features.sum() * 0
    target = (membership[grouped] > 0).float()
    log_likelihood = (logits[grouped].log_softmax(1) * target / target.sum(1, keepdim=True)).sum(1)
    return -log_likelihood.mean() * len(grouped) / len(features)


def _weighted_mean(tokens: Tensor, weight: Tensor) -> Tensor:
    """(batch, 16, hidden), (batch, 16) -> (batch, hidden)."""
    return (tokens * weight[:, :, None]).sum(1) / weight.sum(1, keepdim=True).clamp(min=1e-3)


def _sample_questions(context: TrainingContext, scene: Scene, queries: int) -> list[Question]:
    sampler, questions = context.question_sampler, []
    for labels in SceneLabels.of(scene):
        for _ in range(queries):
            language, relevant = context.random.choice(("zh", "en")), context.random.random() < 0.42
            questions.append(sampler.sample(labels, language, relevant=relevant))
    return questions
