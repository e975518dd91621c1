"""Answers are read as a careful person reads them. score_answers.tsv: value, tier (primary, fallback, default, any),
answer.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.scores import parse_score, score_is_complete

TABLE = [
    line.split("\t", 2)
    for line in (Path(__file__).parent / "score_answers.tsv").read_text(encoding="utf-8").splitlines()
]
TIERS = {"p": "primary", "f": "fallback", "d": "default"}


@pytest.mark.parametrize(("value", "tier", "answer"), TABLE)
def test_answers_are_read_as_a_careful_person_reads_them(value: str, tier: str, answer: str) -> None:
    parsed = parse_score(answer.replace("\\n", "\n"))
    assert parsed.value == pytest.approx(float(value))
    if tier in TIERS:
        assert parsed.tier == TIERS[tier]


def test_the_span_shows_where_the_number_stands() -> None:
    answer = "图中是猫。得分：８．６分。"
    start, end = parse_score(answer).span or (0, 0)
    assert answer[start:end] == "８．６"


@pytest.mark.parametrize(
    "answer",
    [
        "9" * 100_000,
        "score:" * 20_000,
        "得分" * 50_000,
        " " * 100_000 + "8",
        "1 " * 20_000,
        "([" * 50_000,
        "8.6.2" * 20_000,
    ]
    + ["八点" * 50_000, "out of " * 20_000, "满分" * 50_000, "满分" + " " * 100_000, "eight " * 20_000, "0-" * 20_000]
    + ["分" * 100_000, "\n" * 100_000 + "8", "7 to " * 20_000, '{"score":' * 10_000],
    ids=lambda answer: repr(answer[:8]),
)
@pytest.mark.timeout(20)
def test_no_answer_is_slow(answer: str) -> None:
    assert 0 <= parse_score(answer).value <= 10


@pytest.mark.parametrize(
    "answer", ["得分：8.6分。", "Score: 8.6. R", '{"score": 8.6, ', "8.6\n", "Score: 8.6/10. R", "得分：0.3分，"]
)
def test_a_score_with_something_behind_it_is_complete(answer: str) -> None:
    assert score_is_complete(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "得分：",
        "得分：8",
        "得分：8.",
        "得分：8.6",
        "得分：8.6分",
        "Score: 8",
        "Score: 8.",
        "Score: 4 ",
        "Score: 4/",
        "Score: 8.6/10",
        "8",
        "图中有3只",
    ],
)
def test_a_score_that_may_still_change_is_not_complete(answer: str) -> None:
    assert not score_is_complete(answer)


@given(
    st.decimals(0, 10, places=1),
    st.sampled_from(["得分：{}分。", "Score: {}. ", '{{"score": {}, "', "得分是{}分，"]),
    st.text(max_size=40),
)
def test_what_follows_a_complete_score_does_not_change_it(score: object, form: str, more: str) -> None:
    answer = form.format(score)
    whole = next((answer[:end] for end in range(1, len(answer) + 1) if score_is_complete(answer[:end])), None)
    assert whole is not None or score_is_complete(answer + "R")
    assert parse_score(answer).value == pytest.approx(float(str(score)))
    quiet = "".join(mark for mark in more if not mark.isnumeric() and mark not in "总总满百十五合综平最终体整")
    assert parse_score(f"{answer}理由：{quiet}").value == pytest.approx(float(str(score)))


@given(st.text(max_size=400))
def test_any_text_is_read(answer: str) -> None:
    parsed = parse_score(answer)
    assert 0.0 <= parsed.value <= 10.0
    assert (parsed.span is None) == (parsed.tier == "default")
    if parsed.span:
        assert 0 <= parsed.span[0] < parsed.span[1] <= len(answer)
    score_is_complete(answer)
