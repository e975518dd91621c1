"""What the model answered -> ParsedScore. Reads like a careful person: explicit scores first, then any number, else
nothing.

The answer is first made plain (full-width characters as ASCII, marks of emphasis as spaces) without changing its
length, so that places in it stay places in the answer. Every pattern is tried once for each number on a short stretch
beside it, so time grows with the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lychee_rerank.number_words import spoken_scores

Tier = Literal["primary", "fallback", "default"]


@dataclass(frozen=True)
class ParsedScore:
    """`value` 0.0 to 10.0; `tier` how it was found; `span` (start, end) of the number in the answer, None where there
    is none.
    """

    value: float
    tier: Tier
    span: tuple[int, int] | None


NO_SCORE = ParsedScore(0.0, "default", None)
_BEFORE, _AFTER = 64, 40  # characters beside a number that may say what it is

_PLAIN: dict[int, int | str] = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # full-width forms of ASCII
_PLAIN.update({ord(mark): plain for mark, plain in zip("　～〜—–−「」【】“”⁄", ' ~~---""[]""/', strict=True)})
_PLAIN.update({ord("，"): "，", **{ord(mark): " " for mark in "＊*`_#$\\\t\r"}})  # a Chinese comma is no decimal comma

_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)*(?:,\d{1,2}(?![\d,]))?(?:。\d+(?=\s*分))?")
_UNIT = r"分(?![钟之别辨布明割析米贝类开为享]|数)"
_SCALE_STATEMENTS = re.compile(
    rf"""
      (?:满分|最高分?|上限|总分共)\s{{0,4}}(?:为|是|:|=|共)?\s{{0,4}}(?P<full>\d{{1,4}})\s{{0,4}}分?
    | (?P<system>\d{{1,3}})\s{{0,4}}分制
    | (?<![\d.])[01]\s{{0,4}}(?:{_UNIT})?\s{{0,4}}(?:-|~|到|至|to)\s{{0,4}}(?P<to>5|10|100)(?![\d.])\s{{0,4}}(?:分|points?)?
    | \bout\s{{1,4}}of\s{{1,4}}(?P<out>\d{{1,3}})
    | \b(?:max(?:imum)?|highest)(?:\s{{1,4}}(?:score|possible|is|of))*\s{{0,4}}[:=]?\s{{0,4}}(?P<max>\d{{1,3}})
    | (?P<hundred>百分制) | (?P<ten>十分制) | (?P<five>五分制)
    """,
    re.VERBOSE,
)

_HAS_NUMBER = re.compile(r"(?:[\d分)]|points?|stars?)\s*$")
_LABELS = (
    r"(?:得\s?分|评\s?分|打\s?分|分\s?数|总\s?分|分\s?值|给\s?分|总评|匹配度|匹配程度|匹配分|相关度|相关性|相关程度|契合度|符合度|符合程度|"
    r"吻合度|相似度|关联度|贴合度|score|scores|scored|scoring|rating|rated|grade|graded|mark|relevance|relevancy|similarity|"
    r"match|points?|boxed|答案|评价|分)(?!标准|规则|依据|理由|细则|维度|项|点)"
)
_TOTAL = re.compile(
    r"(?:总分|总得分|总评分?|总体|总计|合计|综合|整体|最终|最后|overall|total|final|average|平均|in\s+all)[^\d。\n;；]{0,24}$"
)
_JOIN = r"(?:[\s:=\"'\[\](){}<>|/~→-]|是|为|约|大约|大概|应为|可以?|评为|达到?|给出?|打|到|的|共|在|判定|is|of|was|be|are|would|should|at|as|an?|it|this|about|around|approximately|value|level|image|picture|the)"
_LABELLED = re.compile(rf"(?P<label>{_LABELS}){_JOIN}{{0,24}}$")
_ASKED = re.compile(
    r"(?:\b(?:rate|rates|give|gives|gave|giving|deserves?|assign|assigns|assigned|award|awarded|earns?|gets?|receives?|solid)\b"
    r"[^.\d;:!?\n]{0,40}|(?:打|给|评|得|获得|评为|给出|打出)(?:了|个|它|出|到|上|这张图片?|该图片?|该图|图片)?\s*)$"
)
_CHANGES = re.compile(
    r"(?:扣|扣除|减|减去|加|加上|少|差|多|高出|低|deduct\w*|minus|los[et]|losing|subtract\w*|plus|bonus|by)\s*(?:了|去|掉|of)?\s*$"
)
_PART = re.compile(r"(?:[\u4e00-\u9fff]{2,}|[a-z]{3,})\s*(?:得|评|打)?[:\s]?\s*$")
_ANSWER_WORDS = re.compile(
    r"(?:我|给|打|评|得|为|是|约|共|的|个|it|this|image|picture|answer|about|around|an?|is|so|therefore|solid)\s*[:]?\s*$"
)
_OUT_OF = re.compile(
    rf"\s*(?:{_UNIT}|points?|stars?|marks?)?\s*(?:/|\bout\s+of\b|\bof\b(?=\s*\d+\s*(?:points|stars)?\b))\s*(?:the\s+)?(?:a\s+)?(?:possible\s+)?(\d{{1,4}})(?![\d.]*\d)"
)
_UNIT_BEHIND = re.compile(rf"\s*(?:{_UNIT}|points?\b|pts?\b|星)")
_PERCENT = re.compile(r"\s*%")
_PERCENT_MEANS = re.compile(r"\s*%\s*(?:的)?\s*(?:match|relevan|similar|匹配|相关|符合|吻合|契合|相似)")
_RANGE = re.compile(
    rf"\s*(?:{_UNIT})?\s*(?:-|~|到|至|\bto\b|\band\b|或)\s*(\d{{1,2}}(?:\.\d+)?)(?![\d.]*\d)(?!\s*(?:月|日|号|年))"
)
_COUNTED = re.compile(r"\s*(?:只|个|张|条|位|人|名|辆|件|朵|棵|颗|头|匹|双|种|年|月|日|号|点钟|px|cm|mm|k\b|x\s*\d|×)")
_FULL_MARKS = re.compile(r"(?:给|打|得|获得|可得|应得|拿)(?:了|个|到|出)?\s*(满分)(?![\d\s为是:=]*\d)")


@dataclass(frozen=True)
class _Number:
    """A number, what stands before and behind it, and what it is worth on a scale of 0 to 10 (None: it cannot be a
    score).
    """

    value: float
    start: int
    end: int
    before: str
    after: str
    scaled: float | None
    stated: bool = False  # its own scale stands behind it: 8/10, 4 out of 5, 92%
    malformed: bool = False  # 8.6.2
    is_range: bool = False  # 7 to 8: `value` is the middle


def parse_score(answer: str) -> ParsedScore:
    """The score in an answer, by the three tiers of the design; never raises, in time that grows with the length alone."""
    text = _plain(answer)
    statements = [match for match in _SCALE_STATEMENTS.finditer(text) if not _belongs_to_number(text, match)]
    declared = next((_declared(match) for match in statements if _declared(match) not in (None, 10.0)), 10.0) or 10.0
    text = _blanked(text, statements)
    numbers = list(_numbers(text, declared))
    return _primary(numbers) or _fallback(text, numbers) or NO_SCORE


def score_is_complete(answer: str) -> bool:
    """Whether an answer that is still being written already holds its score for good: an explicit one, with something
    behind it that ends the number and its unit. (A total named later would still win; the prompts ask for the score
    first.)
    """
    found = parse_score(answer)
    if found.tier != "primary" or found.span is None:
        return False
    return _ENDED.match(_plain(answer[found.span[1] : found.span[1] + _AFTER])) is not None


_ENDED = re.compile(
    r"\s*分\s*[^\s制之钟数(/别到至~-]|\s*/\s*\d+\s*[^\d\s.]|\s*[。，;；!！、)\]}\"'<|\n]|\s*/\s*\d+\.\s|[.,]\s|,[^\d]|\s+[^\s/o%分p\d(~到至-]"
)


def _plain(answer: str) -> str:
    text = answer.translate(_PLAIN)
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _declared(match: re.Match[str]) -> float | None:
    if match["hundred"] or match["ten"] or match["five"]:
        return 100.0 if match["hundred"] else 10.0 if match["ten"] else 5.0
    value = next((float(match[name]) for name in ("full", "system", "to", "out", "max") if match[name]), None)
    return value if value and value in (5, 10, 20, 50, 100) else None


def _belongs_to_number(text: str, match: re.Match[str]) -> bool:
    """Whether this "out of 10" is the scale of a number right before it."""
    return match["out"] is not None and _HAS_NUMBER.search(text[max(0, match.start() - 12) : match.start()]) is not None


def _blanked(text: str, statements: list[re.Match[str]]) -> str:
    """The text without its statements of scale, which are no scores; as long as before."""
    pieces, last = [], 0
    for match in statements:
        pieces += [text[last : match.start()], " " * (match.end() - match.start())]
        last = match.end()
    return "".join([*pieces, text[last:]])


def _numbers(text: str, declared: float) -> Iterator[_Number]:
    skip = 0
    for match in _NUMBER.finditer(text):
        if match.start() < skip:
            continue
        before, after = text[max(0, match.start() - _BEFORE) : match.start()], text[match.end() : match.end() + _AFTER]
        value = _value(match[0])
        if (behind := _RANGE.match(after)) and value < (upper := float(behind[1])) <= 10:
            skip = end = match.end() + behind.end(1)
            middle = (value + upper) / 2
            yield _Number(middle, match.start(), end, before, text[end : end + _AFTER], middle, is_range=True)
            continue
        out_of = _OUT_OF.match(after)
        if out_of and before[-1:] != "/":
            skip = match.end() + out_of.end()
            bound = float(out_of[1])
            scaled = _within(10 * value / bound if bound >= 2 and value <= bound else None)
        elif _PERCENT.match(after):
            scaled = _within(value / 10)
        else:
            scaled = _within(10 * value / declared)
        negative = before[-1:] == "-" and not re.search(r"[\w)]\s*-$|-\s+-$", before)
        stated = bool(out_of or _PERCENT.match(after))
        yield _Number(
            value,
            match.start(),
            match.end(),
            before,
            after,
            None if negative else scaled,
            stated,
            match[0].count(".") > 1,
        )


def _value(digits: str) -> float:
    """`8.6.2` and `8,6` are read as 8.6; numbers too long to be scores as something far out of range."""
    parts = re.split(r"[.,。]", digits)
    return float(".".join(parts[:2])) if len(parts[0]) <= 6 and len(digits) <= 40 else 1e9


def _within(value: float | None) -> float | None:
    return round(value, 4) if value is not None and 0 <= value <= 10 else None


def _primary(numbers: list[_Number]) -> ParsedScore | None:
    """The best explicit score: a total, else the first labelled or marked as a score, else the first of a part."""
    ranked = [(_explicit(number), number) for number in numbers if number.scaled is not None]
    for wanted in (3, 2, 1):
        for rank, number in ranked:
            if rank == wanted and not number.is_range:
                return ParsedScore(number.scaled or 0.0, "primary", (number.start, number.end))
    return None


def _explicit(number: _Number) -> int:
    """3 a total, 2 an explicit score, 1 the score of a part, 0 just a number."""
    if _CHANGES.search(number.before) or _COUNTED.match(number.after) or number.malformed:
        return 0
    percent = _PERCENT.match(number.after) is not None
    marked = bool(_UNIT_BEHIND.match(number.after)) or (number.stated and not percent)
    labelled = _LABELLED.search(number.before)
    if _TOTAL.search(number.before) and (marked or labelled):
        return 3
    if labelled:
        return 1 if _of_a_part(number.before[: labelled.start()]) else 2
    if percent:
        return 2 if _PERCENT_MEANS.match(number.after) or _alone(number) else 0
    if _ASKED.search(number.before) or _alone(number):
        return 2
    if marked:
        return 1 if _PART.search(number.before) and not _ANSWER_WORDS.search(number.before) else 2
    return 0


def _of_a_part(before: str) -> bool:
    return (
        re.search(
            r"(?:构图|色彩|颜色|光线|背景|细节|清晰度|主体|composition|colou?r|lighting|background|detail|clarity)\s*$",
            before,
        )
        is not None
    )


def _line_beside(number: _Number) -> tuple[str, str]:
    """What stands on the number's own line before and behind it, as far as it is looked at."""
    return number.before.rpartition("\n")[2], number.after.partition("\n")[0]


def _alone(number: _Number) -> bool:
    """Whether the number has its line to itself, give or take punctuation and its unit."""
    left, right = _line_beside(number)
    if len(left) > 20 or len(right) > 20:
        return False
    rest = re.sub(r"分|points?|out\s+of|/\s*\d+|\d+$", "", right)
    return not re.search(r"\w", left + rest) and not right.startswith(")")


def _fallback(text: str, numbers: list[_Number]) -> ParsedScore | None:
    spoken = next(iter(spoken_scores(text)), None)
    if spoken:
        return ParsedScore(spoken.value, "fallback", (spoken.start, spoken.end))
    if full := _FULL_MARKS.search(text):
        return ParsedScore(10.0, "fallback", full.span(1))
    usable = [number for number in numbers if number.scaled is not None and not _CHANGES.search(number.before)]
    likely = [number for number in usable if not _counts_something(number)]
    plain = [number for number in likely if not number.stated] or likely
    chosen = next(iter(plain or usable), None)
    return ParsedScore(chosen.scaled or 0.0, "fallback", (chosen.start, chosen.end)) if chosen else None


def _counts_something(number: _Number) -> bool:
    """Counts, ordinals, list numbers, years and sizes: the last choice."""
    if _COUNTED.match(number.after) or re.search(r"(?:第|图|[x×#]|no\.?|step|第\s)\s*$", number.before):
        return True
    return not _line_beside(number)[0].strip() and re.match(r"[.)、]\s*\D", number.after) is not None
