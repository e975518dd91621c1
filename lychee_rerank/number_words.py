"""An answer in plain characters and digits: 八點六分, eight point six and ８．６ all become 8.6.

Every character keeps its place in the answer as it was given, so that a number can still be shown where it stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PlacedText:
    """A text; its character i stands for `starts[i]` to `ends[i]` of the answer."""

    text: str
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, answer: str) -> PlacedText:
        return cls(answer, list(range(len(answer))), list(range(1, len(answer) + 1)))

    def replaced(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> PlacedText:
        """With every match replaced; the new characters stand for the whole match."""
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        last = 0
        for match in pattern.finditer(self.text):
            new, start, end = replacement(match), match.start(), match.end()
            text += self.text[last:start], new
            starts += self.starts[last:start] + [self.starts[start]] * len(new)
            ends += self.ends[last:start] + [self.ends[end - 1]] * len(new)
            last = end
        if not text:
            return self
        return PlacedText("".join([*text, self.text[last:]]), starts + self.starts[last:], ends + self.ends[last:])

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the answer the characters from `start` to `end` came from."""
        return self.starts[start], self.ends[end - 1]


_ASCII: dict[int, int | str] = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # full-width forms
_ASCII.update(zip(map(ord, "　～〜∼—–―‒‑‐−「」【】《》“”⁄∕"), ' ~~~-------""[][]""//', strict=True))
_ASCII.update({ord("，"): "，", **dict.fromkeys(map(ord, "＊*`_#$\\"), " ")})  # a Chinese comma is no decimal comma
_ASCII.update(
    zip(
        map(ord, "評總數滿満綜終給為關價點隻張個範圍從減約應該圖這與兩體計於間値對條価関連"),
        map(ord, "评总数满满综终给为关价点只张个范围从减约应该图这与两体计于间值对条价关连"),
        strict=True,
    )
)
_NOISE = re.compile(
    r"\s+|<\|[^<>]{0,40}?\|>|</?(?!score|rating|得分|评分|分数)[a-z][^<>]{0,60}>|[\ufe0f\u20e3\u200b]|四舍五入"
)

_DIGITS = {**dict(zip("零一二三四五六七八九十", range(11), strict=True)), "〇": 0, "两": 2}
_DIGITS |= {word: value for value, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_DIGITS |= {mark: value for value, mark in enumerate("①②③④⑤⑥⑦⑧⑨⑩", 1)} | {"🔟": 10}
_ZH = "[零〇一二两三四五六七八九]"
_EN = "(?:zero|one|two|three|four|five|six|seven|eight|nine|ten)"
_WORDS = re.compile(
    rf"""
      (?P<hundred>一百(?!{_ZH}) | 百(?=分制|分百))
    | (?P<tens>{_ZH}?)十(?P<ones>{_ZH}?)(?!分(?![制满中])[\u4e00-\u9fff])  # 十分 mostly means "very"
    | (?P<zh>{_ZH}+)(?:点(?P<zh_part>{_ZH}{{1,2}})(?![十百{_ZH[1:-1]}]))?(?![十百千万亿])
    | (?<!\bthis\s)(?<!\bthat\s)(?<!\bthe\s) \b(?!one\b(?!\s(?:point|to|out)\b|\s?/))
      (?P<en>{_EN})\b(?!\s(?:hundred|thousand)) (?:[\s-]point(?P<en_part>(?:[\s-]{_EN}\b){{1,2}}))?
    | (?P<mark>[①-⑩🔟])
    | (?P<full>★{{1,10}})(?P<empty>☆{{1,10}})(?![^\n。]{{0,8}}\d)
    """,
    re.VERBOSE,
)
_PERCENT = re.compile(r"百分之\s?(\d+(?:\.\d+)?|百)|100分百")
_HALF = re.compile(r"(?<=\d)(?:\sand\sa\shalf\b|\s?½|(分)半)")


def plain_text(answer: str) -> PlacedText:
    """The answer in lower case, ASCII marks, simplified characters and digits, single spaces, without tags and what
    stands before the end of thinking.
    """
    text = answer.translate(_ASCII)
    text = re.sub("[A-Z]+", lambda match: match[0].lower(), text)
    *thinking, said = text.rpartition("</think>")
    placed = PlacedText.of(" " * sum(map(len, thinking)) + said)
    return (
        placed.replaced(_NOISE, _quiet)
        .replaced(_WORDS, _digits)
        .replaced(_PERCENT, lambda match: f"{(match[1] or '百').replace('百', '100')}%")
        .replaced(_HALF, lambda match: f".5{match[1] or ''}")
    )


def _quiet(match: re.Match[str]) -> str:
    if match[0] in "\ufe0f\u20e3\u200b":
        return ""
    return "\n" if "\n" in match[0] or match[0].startswith("<|") else " "


def _digits(match: re.Match[str]) -> str:
    if match["hundred"]:
        return "100"
    if match["full"]:
        return f"{len(match['full'])}/{len(match[0])}"
    if match["mark"]:
        return str(_DIGITS[match["mark"]])
    if match["zh"]:
        whole, part = list(match["zh"]), list(match["zh_part"] or "")
    elif match["en"]:
        whole, part = [match["en"]], re.findall(_EN, match["en_part"] or "")
    else:
        return str(10 * _DIGITS[match["tens"] or "一"] + _DIGITS[match["ones"] or "零"])
    digits = ["".join(str(_DIGITS[word]) for word in words) for words in (whole, part)]
    return ".".join(filter(None, digits))
