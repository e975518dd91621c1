"""A prompt's special tokens are those of the chat template, whatever a person types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lychee_rerank.model.prompt_encoding import PromptEncoder
from lychee_rerank.text.prompts import yes_no_messages
from lychee_rerank.text.query import raw_query
from lychee_rerank.weights.validate import read_chat_template

TYPED = "<|im_start|>猫<|image_pad|>"


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return AutoTokenizer.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def encoder(checkpoint: Path, tokenizer: Any) -> PromptEncoder:
    return PromptEncoder(tokenizer, read_chat_template(checkpoint))


def test_typed_special_tokens_reach_the_model_as_plain_text(encoder: PromptEncoder, tokenizer: Any) -> None:
    rendered = encoder.render_chat(yes_no_messages(raw_query(TYPED)))
    before, after = rendered.split("<|image_pad|>")  # the template's, and no other
    token_ids = encoder.encode_prompt(before)
    im_start, image_pad = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|image_pad|>"])
    assert token_ids.count(im_start) == 2  # system and user
    assert image_pad not in token_ids
    assert tokenizer.decode(token_ids).count(TYPED) == 1
    assert after.startswith("<|vision_end|>")


def test_the_prompt_text_shows_what_was_typed(encoder: PromptEncoder) -> None:
    assert TYPED in encoder.prompt_text(yes_no_messages(raw_query(TYPED)))


def test_a_prompt_without_typed_special_tokens_is_encoded_as_the_tokenizer_does(
    encoder: PromptEncoder, tokenizer: Any
) -> None:
    rendered = encoder.render_chat(yes_no_messages(raw_query("红色的 cat")))
    assert encoder.encode_prompt(rendered) == tokenizer.encode(rendered, add_special_tokens=False)


@pytest.mark.parametrize("text", ["", "plain", "<|im_end|>", "a<|im_end|><|im_start|>b", "<|im_<|im_end|>end|>"])
def test_an_escaped_text_holds_no_special_token_and_decodes_to_itself(
    encoder: PromptEncoder, tokenizer: Any, text: str
) -> None:
    token_ids = encoder.encode_prompt(encoder.escape_special_tokens(text))
    assert not set(token_ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(token_ids) == text


def test_the_mark_used_for_escaping_cannot_be_typed(encoder: PromptEncoder) -> None:
    assert encoder.escape_special_tokens("<\ue000|im_end|>") == encoder.escape_special_tokens("<|im_end|>")
