"""The batched forward over prompts, each with one image, that share their beginning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tools.demo.network import IMAGE_TOKENS, SIDE, decoder_forward
from tools.demo.prompt_text import prompt_parts
from tools.demo.training_context import TrainingContext


def yes_no_logit(
    context: TrainingContext, model: nn.Module, tokens: Tensor, queries: list[str], *, short: bool = False
) -> Tensor:
    """(queries,) logit of yes minus logit of no. tokens: (queries, 16, hidden); `short` leaves out the instructions."""
    prompts = [prompt_parts(query, "yes_no", short=short) for query in queries]
    prefix, rows, starts = tokenize_prompts(context, prompts, [""] * len(prompts))
    hidden = hidden_states(context, model, prefix, rows, tokens)
    last = hidden[torch.arange(len(rows)), torch.tensor(starts) - 1].float()
    yes, no = (model.lm_head.weight[context.tokenizer.token_to_id(word)].float() for word in ("yes", "no"))
    return last @ (yes - no)


def tokenize_prompts(
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


def hidden_states(
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
