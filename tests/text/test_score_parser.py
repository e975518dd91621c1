"""Answers are read as a careful person reads them. score_answers.tsv: value, tier (primary, fallback, default, any),
answer with \\n, \\r and \\t; lines beginning with # are headings.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.text.score_parser import parse_score, score_is_complete

LINES = (Path(__file__).parents[1] / "score_answers.tsv").read_text(encoding="utf-8").splitlines()
TABLE = [line.split("\t", 2) for line in LINES if not line.startswith("# ")]
TIERS = {"p": "primary", "f": "fallback", "d": "default"}


def misreading(value: str, tier: str, answer: str) -> str:
    """What is wrong in how an answer of the table is read; empty where nothing is."""
    parsed = parse_score(answer.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t"))
    right = parsed.value == pytest.approx(float(value)) and tier in ("a", parsed.tier[0])
    return "" if right else f"{answer}: {value} {TIERS.get(tier, 'any')}, read as {parsed.value} {parsed.tier}"


def test_of_500_varied_answers_at_least_499_are_read_as_a_careful_person_reads_them() -> None:
    misread = list(filter(None, (misreading(*row) for row in TABLE)))
    print(*misread, sep="\n")
    assert len(TABLE) > 1_000
    assert len(misread) <= len(TABLE) / 500, misread


def test_the_seed_example_gives_its_score_as_primary() -> None:
    parsed = parse_score("根据描述，该图片得分为8.6分。理由：主体清晰，场景匹配，细节丰富。")
    assert (parsed.value, parsed.tier) == (8.6, "primary")


# Reasons full of numbers, none of them the score, and explicit scores: in either order the score is read.
REASONS = {
    "zh": """图中有2个人、3只狗和1辆车|图片尺寸为1920x1080|拍摄于2019年5月6日下午3点|时钟显示8:30|画面中80%是天空
        |海报上写着“买2送1，仅需9.9元”|满足5个条件中的3个|约2/3的画面被遮挡|1. 主体清晰 2. 背景匹配|图中约有7到8个人
        |她看起来30岁左右，穿着七分袖上衣|比分为3:2|气温为-5度|背景扣1分，细节扣0.5分|整体氛围十分温馨|总共5只气球
        |车牌号为A12345，电话010-62345678|距离约5分钟车程|价格￥8.5，销量1000+|最后一排有4个人""",
    "en": """There are 2 people, 3 dogs and 1 car|The size is 1920x1080|Taken in 2019 at 3 pm|The clock says 8:30
        |2 of the 5 elements are missing|80% of the frame is sky|The poster says "buy 2 get 1 free for $9.99"
        |1. The subject is clear. 2. The background fits|There are 7 to 8 people|A 5-star hotel|The match ended 3-2
        |It is -5 degrees|I took off 1 point for the hat|The description asks for "3 cats" and there are 2
        |There is a total of 5 balloons|Overall the 3 colours fit well|One of the two dogs is missing|Version 2.0""",
}
SCORES = {
    "zh": """得分：6.4|得分：6.4分|评分：6.4/10|打6.4分|我给6.4分|总分：6.4|匹配度：6.4|**得分：6.4分**|最终得分6.4分
        |满分10分，得6.4分|评分（0-10）：6.4|{"score": 6.4}|<score>6.4</score>|【评分】6.4|因此评分为6.4分""",
    "en": """Score: 6.4|Score: 6.4/10|I'd give it 6.4/10|I would rate it 6.4 out of 10|Overall: 6.4/10|**Score:** 6.4
        |Relevance: 6.4|The score is 6.4|Score (0-10): 6.4|On a scale of 0 to 10, I give it a 6.4|{"score": 6.4}
        |It deserves a 6.4|Total: 6.4""",
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_numbers_in_the_reason_do_not_win_over_the_score(language: str) -> None:
    for reason in REASONS[language].split("|"):
        for score in SCORES[language].split("|"):
            first, last = f"{score.strip()}.\n{reason.strip()}", f"{reason.strip()}. {score.strip()}"
            assert (parse_score(first).value, parse_score(first).tier) == (6.4, "primary"), first
            assert (parse_score(last).value, parse_score(last).tier) == (6.4, "primary"), last


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("图中是猫。得分：８．６分。", "８．６"),
        ("<think>给7分？</think>**得分**：8.6分", "8.6"),
        ("得分：7~8分", "7~8"),
        ("总分：24/30", "24"),
        ("我给八点六分。", "八点六"),
        ("I'd give it eight and a half.", "eight and a half"),
        ("得分：8 + 1 - 0.5 = 8.5分", "8.5"),
        ("<b>Score</b>: <i>8.6</i>\n\n   /10", "8.6"),
        ("给满分！", "满分"),
        ("İ得分：8.6", "8.6"),
    ],
)
def test_the_span_shows_where_the_number_stands(answer: str, shown: str) -> None:
    start, end = parse_score(answer).span or (0, 0)
    assert answer[start:end] == shown


LONG = 100_000
NOISE = ["9", " ", "\n", "分", "十", "①", "(", "★", "得分", "score:", "8.6.2", "out of "]
NOISE += ["([", '{"score":', "<a ", "<|", "</think>", "0 means a ", "total ", "|a|\n|-|\n"]
NUMBERS = [
    "1 ",
    "0-",
    "8+",
    "8-9 ",
    "(8=",
    "1,000",
    "8.6/",
    "满分",
    "八点",
    "eight ",
    "7 to ",
    "from 10 ",
]  # each number is judged by itself: slower, still linear


@pytest.mark.parametrize("piece", [*NOISE, *NUMBERS], ids=repr)
@pytest.mark.timeout(20)
def test_no_answer_is_slow(piece: str) -> None:
    noise = piece * ((LONG // 4 if piece in NUMBERS else LONG) // len(piece))
    for answer in (noise, f"得分：{noise}", f"{noise}8分"):
        assert 0 <= parse_score(answer).value <= 10


@pytest.mark.parametrize("noise", ["x" * LONG, "的" * LONG, " " * LONG, "\n" * LONG, "。" * LONG])
def test_a_score_is_found_beside_any_amount_of_noise(noise: str) -> None:
    for answer in (f"{noise}。得分：8.6分。", f"得分：8.6分。{noise}"):
        parsed = parse_score(answer)
        assert parsed.value == 8.6
        assert parsed.span is not None
        assert answer[slice(*parsed.span)] == "8.6"


@pytest.mark.parametrize(
    "answer",
    [
        "得分：8.6分。",
        "Score: 8.6. R",
        '{"score": 8.6, ',
        "8.6\n",
        "Score: 8.6/10. R",
        "得分：0.3分，",
        "得分：8.6分（满分10分）。",
        "**Score: 8.6**\n",
        "Score: 8.6 because ",
        "Score: 8.6 out of 10. R",
    ],
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
        "Score: 4 o",
        "Score: 7 t",
        "Score: 7 to ",
        "Score: 8 a",
        "Score: 8 and ",
        "Score: 8.6/10",
        "得分：8.6分（",
        "得分：7分到",
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


FRAGMENTS = (
    "0 1 8 8.6 86 10 100 . , ， 。 : ： - ~ / % ( ） \n 分 得分 总分 满分 分制 十 八点六 到 扣 score total out of eight"
).split(" ")
FRAGMENTS += [
    " ",
    "</think>",
    "<b>",
    "★★★★☆",
    "½",
    "\u20e3",
    "百分之",
    "🔟",
    " and a half",
    "=",
    "+",
    "İ",
    "ß",
    "\ud800",
]


@given(st.one_of(st.text(max_size=400), st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)))
def test_any_text_is_read(answer: str) -> None:
    parsed = parse_score(answer)
    assert 0.0 <= parsed.value <= 10.0
    assert (parsed.span is None) == (parsed.tier == "default")
    if parsed.span:
        assert 0 <= parsed.span[0] < parsed.span[1] <= len(answer)
    score_is_complete(answer)
