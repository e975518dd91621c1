"""The loss of the written answers: a score with a reason."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.candidate_sets import SET_SIZE
from tools.demo.pair_grades import PairGrader, answer
from tools.demo.pair_loss import Pairs
from tools.demo.prompt_forward import hidden_states, tokenize_prompts
from tools.demo.prompt_text import prompt_parts
from tools.demo.training_context import TrainingContext

REASON_STARTS = {"zh": "图中是", "en": "it shows"}


def generation_loss(
    context: TrainingContext,
    model: nn.Module,
    grader: PairGrader,
    tokens: Tensor,
    pairs: Pairs,
    logit: Tensor,
    *,
    reasons: bool,
) -> Tensor | None:
    """Cross-entropy of the written answer, or without `reasons` of its score and the first words of the reason, for
    some queries of one language; None where there are none.

    tokens: (scenes, 16, hidden); logit: (pairs,) of yes. The score to write is the model's own yes/no probability, kept
    near the grade: what it cannot tell it could not learn to write.
    """
    language = context.random.choice(("zh", "en"))
    chosen = _sample_pairs(context, pairs, logit, language, 7 if reasons else 8)
    if not chosen:
        return None
    grade = pairs.grade[chosen]
    probability = torch.sigmoid(logit[chosen].detach()).cpu()
    scores = torch.minimum(torch.maximum(probability, grade - 0.12), grade + 0.1).clamp(0, 0.99).tolist()
    answers = [
        _answer(grader, pairs, index, score, reasons=reasons) for index, score in zip(chosen, scores, strict=True)
    ]
    prompts = [prompt_parts(pairs.queries[index].text, f"generate_{language}") for index in chosen]
    prefix, rows, starts = tokenize_prompts(context, prompts, answers)
    images = tokens[[pairs.scene_index[index] for index in chosen]]
    hidden = hidden_states(context, model, prefix, rows, images)
    targets = torch.full((len(rows), max(map(len, rows))), -100)
    for index, (row, start) in enumerate(zip(rows, starts, strict=True)):
        targets[index, start - 1 : len(row) - 1] = torch.tensor(row[start:])
    is_target = targets >= 0
    logits = model.lm_head(hidden[is_target.to(hidden.device)])
    weight = _token_weights(context, targets)[is_target].to(hidden.device)
    loss = F.cross_entropy(logits.float(), targets[is_target].to(hidden.device), reduction="none")
    return (loss * weight).sum() / weight.sum()


def _sample_pairs(context: TrainingContext, pairs: Pairs, logit: Tensor, language: str, count: int) -> list[int]:
    """Indexes of pairs: of up to `count` queries the three best scenes, hardest first among equals, and one other."""
    starts = [row for row in range(0, len(pairs.queries), SET_SIZE) if pairs.queries[row].language == language]
    context.random.shuffle(starts)
    priority = (-pairs.grade - 0.01 * logit.detach().cpu()).tolist()
    chosen: list[int] = []
    for start in starts[:count]:
        known = [row for row in range(start, start + SET_SIZE) if pairs.grade[row] >= 0]
        ordered = sorted(known, key=priority.__getitem__)
        chosen += ordered[:3]
        if len(ordered) > 3:
            chosen.append(context.random.choice(ordered[3:]))
    return chosen


def _answer(grader: PairGrader, pairs: Pairs, index: int, score: float, *, reasons: bool) -> str:
    """The answer to write for one pair; without `reasons` it breaks off after the first words of the reason."""
    query, scene = pairs.queries[index], pairs.scenes[pairs.scene_index[index]]
    text = answer(query.language, score, grader.reason(query, pairs.grade[index].item(), scene))
    if reasons:
        return text + "<|im_end|>"
    return text.partition(REASON_STARTS[query.language])[0] + REASON_STARTS[query.language]


def _token_weights(context: TrainingContext, targets: Tensor) -> Tensor:
    """Digits decide the ranking, so they count more than the words of the reason, and the first digit most."""
    digit_ids = [context.tokenizer.encode(str(digit)).ids[0] for digit in range(10)]
    digit = torch.isin(targets, torch.tensor(digit_ids))
    first = digit & (digit.cumsum(1) == 1)
    return 1.0 + 3.0 * digit + 12.0 * first
