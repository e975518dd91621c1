"""The three training losses: image tokens against names, yes or no against how well a scene matches, and the written
answer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.network import GRID, IMAGE_TOKENS, MERGE, decoder_forward
from tools.demo.prompt_text import prompt_parts
from tools.demo.questions import Question, SceneLabels, answer
from tools.demo.scenes import Scene
from tools.demo.training_context import TrainingContext

SIDE = GRID // MERGE  # image tokens a side


def alignment_loss(
    context: TrainingContext, model: nn.Module, tokens: Tensor, scene: Scene, scale: Tensor | float
) -> Tensor:
    """Cross-entropy of the right name among all names, in Chinese and English, and of the background's color at the
    border.

    tokens: (batch, 16, hidden); scale: the inverse temperature. The tokens' unit vectors are averaged, so that each
    one comes to carry what the whole image shows.
    """
    embed = model.model.language_model.embed_tokens.weight
    tokens = F.normalize(tokens, dim=-1)
    features = tokens.mean(1)
    total = torch.zeros((), device=tokens.device)
    for language in ("zh", "en"):
        names = F.normalize(context.name_embeddings(embed, language), dim=-1)
        total = total + F.cross_entropy(scale * features @ names.T, scene.thing.to(tokens.device), label_smoothing=0.05)
    border = tokens[:, border_tokens()].mean(1)
    plain = (scene.background >= 0).nonzero()[:, 0].to(tokens.device)
    colors = F.normalize(context.color_embeddings(embed), dim=-1)
    total = total + 0.4 * F.cross_entropy(scale * border[plain] @ colors.T, scene.background.to(tokens.device)[plain])
    return total / 2


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
    logit = _yes_no_logit(context, model, tokens.repeat_interleave(queries, 0), questions, short=short)
    loss = F.binary_cross_entropy_with_logits(logit, grade) - _entropy(grade)
    return loss, ((logit > 0) == (grade > 0.5)).float().mean().item()


def generation_loss(
    context: TrainingContext, model: nn.Module, tokens: Tensor, scene: Scene, *, reasons: bool
) -> Tensor:
    """Cross-entropy of the written answer, or without `reasons` of its score alone, in a fourth of the time.

    The score to write is the model's own yes/no probability: what it cannot tell it could not learn to write.
    """
    language = context.random.choice(("zh", "en"))
    queries = 1 if reasons else 4
    questions, tokens = _sample_questions(context, scene, queries, language), tokens.repeat_interleave(queries, 0)
    with torch.no_grad():
        grades = torch.sigmoid(_yes_no_logit(context, model, tokens, questions, short=False)).tolist()
    answers = [answer(question, grade) + "<|im_end|>" for question, grade in zip(questions, grades, strict=True)]
    if not reasons:
        answers = [text[: text.index("理由" if language == "zh" else " Reason")] for text in answers]
    prompts = [prompt_parts(question.query, f"generate_{language}") for question in questions]
    prefix, rows, starts = _tokenize(context, prompts, answers)
    hidden = _hidden_states(context, model, prefix, rows, tokens)
    targets = torch.full((len(rows), max(map(len, rows))), -100)
    for index, (row, start) in enumerate(zip(rows, starts, strict=True)):
        targets[index, start - 1 : len(row) - 1] = torch.tensor(row[start:])
    is_target = targets >= 0
    logits = model.lm_head(hidden[is_target.to(hidden.device)])
    weight = _token_weights(context, targets)[is_target].to(hidden.device)
    loss = F.cross_entropy(logits.float(), targets[is_target].to(hidden.device), reduction="none")
    return (loss * weight).sum() / weight.sum()


def _token_weights(context: TrainingContext, targets: Tensor) -> Tensor:
    """Digits decide the ranking, so they count more than the words of the reason, and the first digit most."""
    digit_ids = [context.tokenizer.encode(str(digit)).ids[0] for digit in range(10)]
    digit = torch.isin(targets, torch.tensor(digit_ids))
    first = digit & (digit.cumsum(1) == 1)
    return 1.0 + 3.0 * digit + 12.0 * first


def _yes_no_logit(
    context: TrainingContext, model: nn.Module, tokens: Tensor, questions: list[Question], *, short: bool
) -> Tensor:
    """(rows,) logit of yes minus logit of no."""
    prompts = [prompt_parts(question.query, "yes_no", short=short) for question in questions]
    prefix, rows, starts = _tokenize(context, prompts, [""] * len(prompts))
    hidden = _hidden_states(context, model, prefix, rows, tokens)
    last = hidden[torch.arange(len(rows)), torch.tensor(starts) - 1].float()
    yes, no = (model.lm_head.weight[context.tokenizer.token_to_id(word)].float() for word in ("yes", "no"))
    return last @ (yes - no)


def _sample_questions(
    context: TrainingContext, scene: Scene, queries: int, language: str | None = None
) -> list[Question]:
    columns = (scene.thing, scene.second, scene.background, scene.tint, scene.size)
    questions = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        for _ in range(queries):
            query_language = language or context.random.choice(("zh", "en"))
            relevant = context.random.random() < 0.42
            questions.append(context.question_sampler.sample(SceneLabels(*row), query_language, relevant=relevant))
    return questions


def _tokenize(
    context: TrainingContext, prompts: list[tuple[str, str]], answers: list[str]
) -> tuple[list[int], list[list[int]], list[int]]:
    """(shared prefix ids, ids of each row after it, index in each row where the answer starts)."""
    texts = [before + "<|image_pad|>" * IMAGE_TOKENS + after for before, after in prompts]
    prompt_ids, answer_ids = (
        [encoding.ids for encoding in context.tokenizer.encode_batch(batch, add_special_tokens=False)]
        for batch in (texts, answers)
    )
    shared = 0
    while all(len(row) > shared + 20 and row[shared] == prompt_ids[0][shared] for row in prompt_ids):
        shared += 1
    rows = [prompt[shared:] + written for prompt, written in zip(prompt_ids, answer_ids, strict=True)]
    return prompt_ids[0][:shared], rows, [len(prompt) - shared for prompt in prompt_ids]


def _hidden_states(
    context: TrainingContext, model: nn.Module, prefix: list[int], rows: list[list[int]], tokens: Tensor
) -> Tensor:
    """(rows, longest row, hidden) last hidden states, with the image `tokens` (rows, 16, hidden) in place."""
    longest = max(map(len, rows))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=tokens.device)
    image_id = context.tokenizer.token_to_id("<|image_pad|>")
    embedded = model.model.language_model.embed_tokens(padded)
    is_image = (padded == image_id)[:, :, None].expand_as(embedded)
    embedded = embedded.masked_scatter(is_image, tokens.float())
    positions = _mrope_positions(len(prefix), [row.index(image_id) for row in rows], longest).to(tokens.device)
    return decoder_forward(model, torch.tensor(prefix, device=tokens.device), embedded, positions)


def _entropy(grade: Tensor) -> Tensor:
    """The minimum of the cross-entropy, subtracted so that a loss of 0 means perfect."""
    return -(torch.xlogy(grade, grade) + torch.xlogy(1 - grade, 1 - grade)).mean()


def _mrope_positions(prefix: int, starts: list[int], length: int) -> Tensor:
    """(3, rows, length) multimodal rotary positions (time, height, width): text counts up, the image by rows and
    columns, and text continues after its longer side.
    """
    index = torch.arange(length)[None].expand(len(starts), -1)
    start = torch.tensor(starts)[:, None]
    offset = index - start
    is_image = (offset >= 0) & (offset < IMAGE_TOKENS)
    text = torch.where(offset >= IMAGE_TOKENS, index - IMAGE_TOKENS + SIDE, index)
    axes = (start.expand_as(index), start + offset // SIDE, start + offset % SIDE)
    return prefix + torch.stack([torch.where(is_image, axis, text) for axis in axes])
