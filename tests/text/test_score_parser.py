"""Answers are read as a careful person reads them. score_answers.tsv: value, tier (p primary, f fallback, d default,
a any), answer with \\n, \\r and \\t; lines beginning with # are headings.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.text.score_parser import RULES, ParsedScore, Rule, parse_score, score_is_complete

LINES = (Path(__file__).parents[1] / "score_answers.tsv").read_text(encoding="utf-8").splitlines()
TABLE = [line.split("\t", 2) for line in LINES if not line.startswith("# ")]
TIERS = {"p": "primary", "f": "fallback", "d": "default"}


def misreading(value: str, tier: str, answer: str) -> str:
    """What is wrong in how an answer of the table is read; empty where nothing is."""
    parsed = parse_score(answer.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t"))
    right = parsed.value == pytest.approx(float(value)) and tier in ("a", parsed.tier[0])
    return "" if right else f"{answer}: {value} {TIERS.get(tier, 'any')}, read as {parsed}"


def test_at_least_499_of_500_answers_are_read_as_a_careful_person_reads_them() -> None:
    misread = list(filter(None, (misreading(*row) for row in TABLE)))
    print(*misread, sep="\n")
    assert len(TABLE) >= 400
    assert len(misread) <= len(TABLE) / 500, misread


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_reads_its_example(rule: Rule) -> None:
    answer, value = rule.example
    parsed = parse_score(answer)
    assert (parsed.value, parsed.tier, parsed.rule) == (value, rule.tier, rule.name)


def test_every_rule_has_its_own_name() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_an_answer_without_a_score_is_zero_by_default() -> None:
    assert parse_score("The picture shows two dogs.") == ParsedScore(0.0, "default", None, "")


def test_a_range_number_words_and_a_malformed_number_are_fallbacks() -> None:
    for answer, value in (("得分：7~9分", 8), ("between 7 and 9", 8), ("Score: eight point six", 8.6), ("8.6.2", 8.6)):
        parsed = parse_score(answer)
        assert (parsed.value, parsed.tier) == (value, "fallback"), answer


def test_a_total_beats_partial_scores() -> None:
    assert parse_score("Subject score: 9. Background score: 6. Overall score: 7.5").value == 7.5
    assert parse_score("- 主体：9分\n- 背景：6分\n- 综合得分：7.5分").value == 7.5


def test_a_score_at_the_start_beats_everything_behind_it() -> None:
    assert parse_score("得分：8.6分。理由：主体9分，背景6分，总分7分。").value == 8.6


@pytest.mark.parametrize(
    "scale", "满分10分|out of 10|0-10分|On a scale of 0 to 10|评分（0到10）：|Score (/10):".split("|")
)
def test_a_statement_of_the_scale_is_no_score(scale: str) -> None:
    assert parse_score(scale).tier == "default"
    assert parse_score(f"{scale}，得7.5分").value == 7.5


@pytest.mark.parametrize(
    "answer", "86/100|得分：4.3/5|匹配度86%|86分（满分100分）|百分制：86|Score (0-100): 86".split("|")
)
def test_a_score_on_another_scale_is_converted(answer: str) -> None:
    assert parse_score(answer).value == 8.6


@pytest.mark.parametrize("answer", "Score: 12|Score: -3|得分：负3分|11/10|得分：15分|-5|9999|minus 2".split("|"))
def test_a_number_out_of_range_is_no_score(answer: str) -> None:
    assert parse_score(answer).tier == "default"


# Reasons full of numbers, none of them the score, and explicit scores: in either order the score is read.
REASONS = """图中有2个人、3只狗和1辆车|图片尺寸为1920x1080|拍摄于2019年5月6日下午3点|时钟显示8:30|画面中80%是天空
    |满足5个条件中的3个|1. 主体清晰 2. 背景匹配|图中约有7到8个人|她穿着七分袖上衣|背景扣1分，细节扣0.5分
    |整体氛围十分温馨|总共5只气球|距离约5分钟车程|There are 2 people, 3 dogs and 1 car
    |The size is 300x200|Taken in 2019 at 3 pm
    |The clock says 8:30|2 of the 5 elements are missing|80% of the frame is sky|1. The subject is clear. 2. It fits
    |There are 7 to 8 people|It is -5 degrees|I took off 1 point|There is a total of 5 balloons
    |Overall the 3 colours fit"""
SCORES = """得分：6.4|得分：6.4分|评分：6.4/10|打6.4分|我给6.4分|总分：6.4|匹配度：6.4|**得分：6.4分**|最终得分6.4分
    |满分10分，得6.4分|评分（0-10）：6.4|{"score": 6.4}|<score>6.4</score>|【评分】6.4|因此评分为6.4分|得分６．４分
    |Score: 6.4|Score: 6.4/10|I'd give it 6.4/10|I would rate it 6.4 out of 10|Overall: 6.4/10|**Score:** 6.4
    |Relevance: 6.4|The score is 6.4|Score (0-10): 6.4|On a scale of 0 to 10, I give it a 6.4|\\boxed{6.4}|Total: 6.4"""


@pytest.mark.parametrize("score", [score.strip() for score in SCORES.split("|")])
def test_numbers_in_the_reason_do_not_win_over_the_score(score: str) -> None:
    for reason in REASONS.split("|"):
        for answer in (f"{score}.\n{reason.strip()}", f"{reason.strip()}. {score}"):
            assert (parse_score(answer).value, parse_score(answer).tier) == (6.4, "primary"), answer


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("图中是猫。得分：８．６分。", "８．６"),
        ("<think>给7分？</think>**得分**：8.6分", "8.6"),
        ("得分：7~8分", "7~8"),
        ("总分：24/30", "24"),
        ("我给八点六分。", "八点六"),
        ("I'd give it eight and a half.", "eight and a half"),
        ("得分：8 + 1 - 0.5 = 8.5分", "8.5"),
        ("<b>Score</b>: <i>8.6</i>\n\n   /10", "8.6"),
        ("**Score:** 8.6.2", "8.6"),
        ("给满分！", "满分"),
        ("İ得分：8.6", "8.6"),
    ],
)
def test_the_span_shows_where_the_number_stands(answer: str, number: str) -> None:
    start, end = parse_score(answer).span or (0, 0)
    assert answer[start:end] == number


PIECES = """9|\x20|\n|分|十|(|得分|score:|8.6.2|out of |{"score":|<a |</think>|total |0 means a |1 |0-|8+|(8=|8.6/"""
PIECES += "|满分|八点|eight |7 to |满分10分99 |rate |99/"


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES.split("|"), ids=repr)
@pytest.mark.timeout(20)
def test_an_answer_of_100_000_characters_is_read_in_linear_time(piece: str) -> None:
    noise = piece * (100_000 // len(piece))
    assert 0 <= parse_score(f"得分：{noise}。8分").value <= 10


@pytest.mark.parametrize("mark", ["x", "的", " ", "\n", "。"])
def test_a_score_is_found_beside_any_amount_of_noise(mark: str) -> None:
    for answer in (f"{mark * 20_000}。得分：8.6分。", f"得分：8.6分。{mark * 20_000}"):
        span = parse_score(answer).span
        assert span and answer[slice(*span)] == "8.6"


COMPLETE = "得分：8.6分。|Score: 8.6. R|Score: 8.6/10. R|得分：8.6分（满分10分）。|**Score: 8.6**\n|评分：3分。"
OPEN = "得分：|得分：8|得分：8.|得分：8.6|得分：8.6分|得分：8.6分（|得分：7分到|8|图中有3只|主体得分：9分。|Score: 8"
OPEN += "|Score: 8.|Score: 4/|Score: 4 o|Score: 7 to |Score: 8.6/10|<think>Score: 8. "


def test_a_score_at_the_start_with_the_end_of_its_sentence_is_complete() -> None:
    assert all(map(score_is_complete, COMPLETE.split("|")))
    assert not any(map(score_is_complete, OPEN.split("|")))


FRAGMENTS = """0 1 8 8.6 86 10 100 . , ， 。 : ： - ~ / % ( ） 分 得分 总分 满分 分制 十 八点六 到 扣 不能给 score
    total out eight ★ ½ 百分之 🔟 = + İ ß of = and a half final between <b> * \ue00a \ud800""".split()
TEXT = st.one_of(st.text(max_size=200), st.lists(st.sampled_from([*FRAGMENTS, " ", "\n"]), max_size=40).map("".join))


@given(
    st.decimals(0, 10, places=1),
    st.sampled_from(["得分：{}分。理由：", "Score: {}. Reason: ", "**Score:** {}/10\n"]),
    TEXT,
)
def test_a_score_in_the_form_that_is_asked_for_is_read_with_any_reason(score: Decimal, form: str, reason: str) -> None:
    parsed = parse_score(form.format(score) + reason)
    assert (parsed.value, parsed.tier) == (pytest.approx(float(score)), "primary")


@given(st.sampled_from(["得分：", "Score: ", "**Rating:** "]), TEXT, TEXT)
def test_what_follows_a_complete_score_does_not_change_it(label: str, behind: str, more: str) -> None:
    if score_is_complete(label + behind):
        assert parse_score(label + behind + more) == parse_score(label + behind)
    start = label + "8.6. " + behind
    assert score_is_complete(start)
    assert parse_score(start + more) == parse_score(start)


@given(TEXT)
def test_any_text_is_read(answer: str) -> None:
    parsed = parse_score(answer)
    assert 0.0 <= parsed.value <= 10.0
    assert (parsed.span is None) == (parsed.tier == "default") == (parsed.rule == "")
    assert parsed.span is None or 0 <= parsed.span[0] < parsed.span[1] <= len(answer)
