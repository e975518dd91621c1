"""Words for numbers become digits, and every character still knows its place in the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.text.number_words import plain_text


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("八點六分", "8.6分"),
        ("八分半", "8.5分"),
        ("八十六分", "86分"),
        ("二〇一九年", "2019年"),
        ("八点三十分", "8点30分"),
        ("百分制86", "100分制86"),
        ("百分之九十二", "92%"),
        ("百分百", "100%"),
        ("十分。", "10分。"),
        ("十分清晰", "十分清晰"),
        ("满分十分", "满分10分"),
        ("Eight point six", "8.6"),
        ("Seven to EIGHT", "7 to 8"),
        ("8 and a half", "8.5"),
        ("８．６／１０", "8.6/10"),
        ("8½", "8.5"),
        ("7️⃣/🔟", "7/10"),
        ("★★★★☆", "4/5"),
        ("this one is a ten", "this one is a 10"),
        ("總分：<b>8</b>\n\n 分", "总分: 8 \n分"),
    ],
)
def test_numbers_in_words_become_digits(answer: str, plain: str) -> None:
    assert plain_text(answer).text == plain


def test_what_was_thought_before_the_answer_is_left_out() -> None:
    assert plain_text("<think>7?</think>8").text.strip() == "8"


@given(st.text("八点六分eight point8 ½🔟<b>\n总。", max_size=60))
def test_every_character_has_a_place_in_the_answer(answer: str) -> None:
    placed = plain_text(answer)
    assert len(placed.text) == len(placed.starts) == len(placed.ends)
    assert all(0 <= start < end <= len(answer) for start, end in zip(placed.starts, placed.ends, strict=True))
    assert placed.starts == sorted(placed.starts)
