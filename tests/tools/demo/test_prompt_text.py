"""The demo checkpoint is trained on the app's own prompts."""

from __future__ import annotations

import pytest

from lychee_rerank.text.prompts import generate_messages, yes_no_messages
from lychee_rerank.text.query import normalize_query
from tools.demo.prompt_text import prompt_parts


@pytest.mark.parametrize(("query", "kind"), [("猫", "yes_no"), ("猫", "generate_zh"), ("cat", "generate_en")])
def test_the_prompt_is_the_one_that_the_app_asks(query: str, kind: str) -> None:
    messages = (yes_no_messages if kind == "yes_no" else generate_messages)(normalize_query(query))
    before, after = prompt_parts(query, kind)
    system, user = (message["content"] for message in messages)
    expected = "".join(part["text"] for part in user[:-1])
    assert before.startswith(f"<|im_start|>system\n{system[0]['text']}<|im_end|>\n<|im_start|>user\n")
    assert before.endswith(f"{expected}<|vision_start|>")
    assert after == "<|vision_end|><|im_end|>\n<|im_start|>assistant\n"


def test_the_short_prompt_leaves_out_the_instructions() -> None:
    before, after = prompt_parts("cat", "yes_no", short=True)
    assert before == "<|im_start|>user\n<Query>:cat\n<Document>:<|vision_start|>"
    assert after == prompt_parts("cat", "yes_no")[1]
