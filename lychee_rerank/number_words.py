"""Scores written in words, Chinese and English: 八点六分, eight point six, seven out of ten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ENGLISH = {word: value for value, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_CHINESE = {
    "零": 0,
    "〇": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
}
_WORD = "|".join(_ENGLISH)
_DIGIT = "零〇一二两三四五六七八九"
_LABEL_BEFORE = re.compile(
    r"(?:得分|评分|打分|分数|总分|分值|匹配度|相关度|打|给|评|得|score|rating|rate|give|deserves?|it)[\s:=是为约a-z]{0,16}$"
)
_SPOKEN = re.compile(
    rf"""
      (?P<zh>[{_DIGIT}十])点(?P<zh_part>[{_DIGIT}]{{1,2}})(?![点钟十百千{_DIGIT}])
    | (?P<zh_half>[{_DIGIT}])分半
    | (?<![{_DIGIT}十百千第])(?P<zh_whole>[{_DIGIT}十])分(?![钟之别辨布明割析米贝类开为享制数])
    | \b(?P<en>{_WORD})(?:\s+point\s+(?P<en_part>{_WORD})|(?P<en_half>\s+and\s+a\s+half))?\b
      (?P<behind>\s*(?:out\s+of\s+ten|/\s*10|points?\b|out\s+of\s+10))?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class SpokenScore:
    """A score in words: its value from 0 to 10 and its place in the text."""

    value: float
    start: int
    end: int


def spoken_scores(text: str) -> Iterator[SpokenScore]:
    """Scores in words, in order. A bare word counts only where something says that it is a score."""
    for match in _SPOKEN.finditer(text):
        value = _value(match)
        if 0 <= value <= 10 and _is_score(text, match):
            yield SpokenScore(value, match.start(), match.end())


def _value(match: re.Match[str]) -> float:
    if match["zh"]:
        return float(f"{_CHINESE[match['zh']]}.{''.join(str(_CHINESE[digit]) for digit in match['zh_part'])}")
    if match["zh_half"]:
        return _CHINESE[match["zh_half"]] + 0.5
    if match["zh_whole"]:
        return float(_CHINESE[match["zh_whole"]])
    whole = _ENGLISH[match["en"]]
    if match["en_part"]:
        return float(f"{whole}.{_ENGLISH[match['en_part']]}")
    return whole + (0.5 if match["en_half"] else 0.0)


def _is_score(text: str, match: re.Match[str]) -> bool:
    labelled = _LABEL_BEFORE.search(text[max(0, match.start() - 32) : match.start()]) is not None
    if match["zh_whole"] == "十":  # 十分 mostly means "very"
        return labelled and not re.match(r"[\u4e00-\u9fff]", text[match.end() : match.end() + 1])
    if match["zh"] or match["zh_half"] or match["zh_whole"]:
        return True
    alone = not re.search(r"\w", text[: match.start()] + text[match.end() :]) if len(text) < 80 else False
    return bool(match["en_part"] or match["en_half"] or match["behind"] or labelled or alone)
