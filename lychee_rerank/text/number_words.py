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
_ASCII.update(zip(map(ord, "壹贰叁肆伍陆柒捌玖拾⭐🌟"), map(ord, "一二三四五六七八九十★★"), strict=True))
_NOISE = re.compile(
    r"\s+|<\|[^<>]{0,40}?\|>|</?(?!score|rating|得分|评分|分数)[a-z][^<>]{0,60}>|[\ufe0f\u20e3\u200b]|四舍五入"
    r"|\b(?:text|textbf|textit|mathbf|mathrm)(?=\s?\{)"
)

_DIGITS = {**dict(zip("零一二三四五六七八九十", range(11), strict=True)), "〇": 0, "两": 2}
_DIGITS |= {word: value for value, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_DIGITS |= {mark: value for value, mark in enumerate("①②③④⑤⑥⑦⑧⑨⑩", 1)} | {"🔟": 10, "💯": 10}
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_ZH = "[零〇一二两三四五六七八九]"
_EN = "(?:zero|one|two|three|four|five|six|seven|eight|nine|ten)"
_WORDS = re.compile(
    rf"""
      (?P<hundred>一百(?!{_ZH}) | 百(?=分制|分百) | \b(?:one|a)\shundred\b(?!\sand\b))
    | (?P<tens>{_ZH}?)十(?P<ones>{_ZH}?)(?!分(?![制满中])[\u4e00-\u9fff])  # 十分 mostly means "very"
    | (?P<zh>{_ZH}+)(?:点(?P<zh_part>{_ZH}{{1,2}})(?![十百{_ZH[1:-1]}]))?(?![十百千万亿])
    | (?<!\bthis\s)(?<!\bthat\s)(?<!\bthe\s) \b(?!one\b(?!\s(?:point|to|out)\b|\s?/)(?!(?<=:\sone)\s?(?:[.,;!\n]|\Z)))
      (?P<en>{_EN})\b(?!\s(?:hundred|thousand)) (?:[\s-]point(?P<en_part>(?:[\s-]{_EN}\b){{1,2}}))?
    | \b(?P<en_tens>{"|".join(_TENS)})(?:[\s-]?(?P<en_ones>(?!zero|ten){_EN}))?\b(?!\s(?:hundred|thousand))
    | (?P<mark>[①-⑩🔟💯])
    | (?:(?P<full>★{{1,10}})☆{{1,10}} | (?P<stars>★{{2,5}}))(?![★☆]|[^\n。]{{0,8}}\d)
    """,
    re.VERBOSE,
)
_POINT = re.compile(r"(?<=\d)(?:[。·]|\s\.)(?=\d\s?(?:分|/|\Z))|(?<=[:为是]\d)，(?=\d\s?分)")  # 8。6分
_TWICE = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,2})?)\s?\(\s?(\1(?:\s?分|\s?/\s?10)?)\s?\)")  # eight (8)
_FRACTION = re.compile(r"\bfrac\s?\{\s?(\d{1,3}(?:\.\d{1,2})?)\s?\}\s?\{\s?(\d{1,3})\s?\}")
_THOUGHT = re.compile(r"</think(?:ing)?>")
_TENTHS = re.compile(r"(?<![\d.])([1-9])成(?![员为功分人年熟立就果绩本都长群双交])")  # 八成
_PERCENT = re.compile(r"百分之\s?(\d+(?:\.\d+)?|百)|100分百")
_HALF = re.compile(r"(?<=\d)(?:\sand\s(?:a|one)\shalf\b|\s?½|(分)半)")


def plain_text(answer: str) -> PlacedText:
    """The answer in lower case, ASCII marks, simplified characters and digits, single spaces, without tags and what
    stands before the end of thinking.
    """
    text = answer.translate(_ASCII)
    text = re.sub("[A-Z]+", lambda match: match[0].lower(), text)
    thought = max((end.end() for end in _THOUGHT.finditer(text)), default=0)
    placed = PlacedText.of(" " * thought + text[thought:])
    return (
        placed.replaced(_NOISE, _quiet)
        .replaced(_WORDS, _digits)
        .replaced(_POINT, lambda _: ".")
        .replaced(_TWICE, lambda match: match[2])
        .replaced(_FRACTION, lambda match: f"{match[1]}/{match[2]}")
        .replaced(_TENTHS, lambda match: f"{match[1]}0%")
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
    if match["full"] or match["stars"]:
        return f"{len(match['full'] or match[0])}/{max(5, len(match[0]))}"
    if match["en_tens"]:
        return str(_TENS[match["en_tens"]] + _DIGITS[match["en_ones"] or "zero"])
    if match["mark"]:
        return str(_DIGITS[match["mark"]])
    if match["zh"]:
        whole, part = list(match["zh"]), list(match["zh_part"] or "")
        if len(whole) == 2 and not part and _DIGITS[whole[0]] + 1 == _DIGITS[whole[1]]:  # 八九分
            return f"{_DIGITS[whole[0]]}-{_DIGITS[whole[1]]}"
    elif match["en"]:
        whole, part = [match["en"]], re.findall(_EN, match["en_part"] or "")
    else:
        return str(10 * _DIGITS[match["tens"] or "一"] + _DIGITS[match["ones"] or "零"])
    digits = ["".join(str(_DIGITS[word]) for word in words) for words in (whole, part)]
    return ".".join(filter(None, digits))
