"""The query as the model read it."""

from __future__ import annotations

from support.app_test import open_page, rank, red, upload


def test_the_query_is_shown_as_typed_as_normalized_and_in_the_prompt() -> None:
    app = rank(upload(open_page(tabs="提示词"), ("a.png", red(200))), "红色，Cat!")
    typed, normalized, units, prompt = (code.value for code in app.code)
    assert typed == "红色，Cat!"
    assert "cat" in normalized
    assert units.split(" | ")[0] == "红色"
    assert prompt == f"PROMPT {normalized}"
