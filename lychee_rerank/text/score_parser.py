"""What the model answered -> ParsedScore. Reads like a careful person: explicit scores first, then any number, else
nothing.

The answer is made plain, with words for numbers as digits (number_words.py); statements of scale are taken out and
remembered; then every number is judged by a short stretch of text on either side, so time grows with the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lychee_rerank.text.number_words import PlacedText, plain_text

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

_TOTAL, _LABELLED, _WITH_UNIT, _POSSIBLE, _UNLIKELY, _NEVER = 5, 4, 3, 2, 1, 0  # how much a number is a score
_BEFORE, _BEHIND = 64, 48  # characters beside a number that may say what it is
_END_READ = 4096  # characters; an answer of 160 tokens has some 600

_FEN = r"分(?!之(?!间)|[钟别辨布明割析米贝类开为享数制袖裤糖硬])"  # 分 as points, not 分钟, 分别, 分辨率, 七分袖
_TO = r"\s?(?:-|~|到|至|\bto\b|\band\b)\s?"
_ANCHOR = r"\s?分?\s?(?:表示|代表|意味着|指|为|是|[=:]|\bmeans?\b|\bbeing\b|\bis\b)"  # 0分表示不相关
_SCALE = re.compile(
    rf"""
      (?:满分|最[高低](?:[可能][以够]?[得打给拿])?分?|[上下]限|full\smarks?)\s?[为是:=共]?\s?(?![6-9](?!\d))\d{{1,3}}(?!\.\d)\s?(?:分|颗?星)?
    | 总分[为是:]?\s?(?:100|50|20)分(?!的)
    | \d{{1,3}}\s?[分点][为是]?(?:满[分点]|最高) | \d{{1,3}}\s?分制
    | (?:\bon\s(?:an?|the)\s)?\d{{1,3}}[-\s](?:point|star)\s(?:scale|system)
    | (?:\b[io]n\s(?:a|the)\s)?\bscale\sof\s(?:5|10|100)\b(?!\s?(?:-|~|to\b))
    | [从在按以]?(?<!\d)(?:5|10|100)(?:分|颗?星)(?:[中里]|来?[计算])
    | (?<!of\sa\s)\b(?:max(?:imum)?|min(?:imum)?|highest|lowest)(?:\s(?:score|possible|rating|is|of))*["\s:=]*\d{{1,3}}
    | (?<![\d分?]\s)(?<!points\s)(?<!point\s)(?<!stars\s)(?<!marks\s)\bout\sof\s(?:a\spossible\s)?(?:5|10|20|50|100)\b
    | (?<![\d分]\s)(?<![\d分])(?<!points)(?<!stars)(?<!points\s)(?<!stars\s)/\s?(?:5|10|100)(?!\d|[./-]\d)
    # 0 to 10, and others where a word, a bracket or 分 says that it is a scale
    | (?:\bfrom\s|\bon\sthe\s)?(?<![\d.])[01]\s?分?{_TO}(?:10(?!\d|\.\d)\s?(?:分|points?)?|(?:5|100)\s?(?:分|points?)|100(?=\s?[:)]))(?:的?(?:范围|区间)|之间)?[内中]?(?:\sscale)?
    | (?:\b(?:on|from|in|using)\s)?(?:\b(?:a|the)\s)?(?:\b(?:scale|range)|(?:[评得打]分|分[数值])?范围|(?<=[(\[])|[从在])
      [^\w\n]?\s?(?:of|from|is|[为是])?\s?[01]\s?分?\s?(?:\([^()\d]{{1,20}}\))?{_TO}(?:1|5|10|100)(?!\d|\.\d)\s?[分%]?(?:的?范围|之间)?[内中]?
    | \bscale"?\s?[:=]\s?(?:5|10|100)\b(?!\s?-)
    | [\[(]\s?[01]\s?,\s?(?:1|5|10|100)\s?[\])]
    | \b(?:0|1|10|100){_ANCHOR}(?:[^\d。\n]{{1,40}}(?<!\d)\d{{1,3}}{_ANCHOR}){{1,9}}
    """,
    re.VERBOSE,
)
_SUM = re.compile(
    r"\(?(?<![\d.])\d[^\n。;:=,，]{0,60}[-+*/×÷][^\n。;:=,，]{0,60}=\s?(?=\d)"
    r"|(?<![\d.])\d[^\n。;:=,，]{0,30}(?:[减加]|\bplus\b|\bminus\b)[^\n。;:=,，]{0,30}(?:等于|\bis\b|\bequals\b)\s?(?=\d)"
    r"|\b(?:average|mean|sum|total)\sof\s(?:[\d.,\s]|and){3,40}(?:\sis|\s?[:=])\s?(?=\d)"
    r"|\bfrom\s10\s(?:down\s)?to\s(?=\d(?:\.\d)?(?!\s(?!due|because|as|for)[a-z]))|[从由]\s?\d{1,2}(?:\.\d)?\s?分?\s?[降扣减改调][低为降]?[到至为]?\s?(?=\d)"
)  # 3+3+2=8 scores 8
_FULL_MARKS = re.compile(
    r"(?<![不是离近差非到])满分|(?<!not\s)(?<!not\sa\s)(?<!near[\s-])(?<!nearly\s)(?<!almost\s)(?<!short\sof\s)(?<!short\sof\sa\s)\b(?:full\smarks|perfect\sscore)\b"
)

_NUMBER = re.compile(
    r"(?<!\d)(?<!\d\.)\d+(?:\.\d+)+"  # 8.6, and 8.6.2
    r"|(?<![\d.])\d{1,3}(?:,\d{3})+(?!\d)"  # 1,024
    r"|\d+(?:,\d{1,2}(?![\d,]))?"  # 8, and 8,6
    r"|(?<![\w.])\.\d+"  # .5
)
_RANGE = re.compile(
    rf"\s?(?:{_FEN})?\s?(?:-|~|[到至或和与]|\b(?:to|and|or)\b(?: an?\b)?)\s?(\d{{1,2}}(?:\.\d+)?)(?![\d.]*\d|\s?[月日号年:])"
)
_OUT_OF = re.compile(
    rf"\s?(?:{_FEN}|points?|stars?|marks?|pts)?\s?(?:/|(?<![a-z])(?:(?:out[\s-]|from\sa\stotal\s)?of|outta)(?![a-z])|\b(?:over|[io]n)\b(?=\s10\b(?!\s?[^\W\d])))\s?(?:the\s)?(?:a\s(?:possible|maximum\sof|total\sof)\s)?"
    r"(\d{1,4}(?:\.0+)?)(?![.,]?\d|/|[a-z])(?:\sstars?)?"
)

# What stands before a number: a label with only joining words between them, a total's name, or a verb of scoring.
_LABEL = re.compile(
    r"""
    (?:得\s?分|评\s?[分价级]|[打赋]\s?分|给分|成绩|终评|最终分|分\s?[数值]|总\s?[分评]|点数|匹配分
      |(?:相关|匹配|相似|符合|契合|吻合|贴合|关[联连]|[1一]致)(?:性|程?度|指数|系数|率)
      |score[sd]?|scoring|(?<![a-z])(?:rating|rated?|graded?|marks?)|relevanc[ey]|similarity|boxed
      |(?P<weak>\bmatch(?:ing)?(?:\s(?:level|degree))?|\bpoints?|程度|答案?|结果|结论|评估|综上(?:所述)?|推荐指数|输出|回答
        |\bth(?:is|e)\s(?:image|picture|photo)(?=:)|\b(?:a|value|answer|result|output|response|assistant|evaluation|assessment|conclusion|verdict|awarded|relevant|therefore))(?=\W?\s?[:={为是]|\sis\b)
    )(?!标准|规则|依据|理由|原因|说明|细则|维度|项|点)(?:\s?\([^()]{0,40}\))?
    (?:[^\w。;!?,，、.%]|\.{2,6}
      |是|大?[约概]|应该?|可以?|[评定]?为|高?达到?|给?出|打|的|共|在|判|值|等于|总和|等级|(?:我?(?:认为|觉得))|仅|只有?|也|却|则|如下|结果
      |\b(?:is|was|be|are|of|for|from|at|as|on|an?|it|this|that|the|to|given?|would|should|i|my|about|around
          |approximately|roughly|value|scale|level|image|picture|photo|here|follows
          |therefore|thus|must|might|could|can|will|likely|probably|simply|just|only|exactly|estimated|set
          |equals?|comes|stands|you|asked|assigned|awarded|we|(?:query|description|text)(?=\s?[:=]|\s(?:is|as)\b))\b
      |\b(?:between|for)\s[a-z\s'\"-]{4,45}(?:\s(?:is|be|as|at)\b|(?=:))|(?:image|picture|photo|图片?)\s?\(?\d{1,4}|\d{1,4}(?:st|nd|rd|th)\b
    ){0,40}$
    """,
    re.VERBOSE,
)
_TOTAL_NAME = re.compile(
    r"(?:总[得评]?分|总[体评计]|总(?=\s?[:=]?\s?$)|合计|[加合]起来|相加|综合|整体|最[终后]|平?均[分值]|平均|共计?|更正|修正|改[为成]|\b(?:overall|total|sum|final|finally|average|avg|mean(?=\s?[:=])|correction|corrected|revised)\b)"
    r"(?P<rest>[^\d。\n;!?]{0,24})$"
)
_CONVERTED = re.compile(r"(?:[,，(]\s?即|相当于|折合|换算[为成后]?)[是为]?\s?$")  # 4/5，即8分
_ASKED = re.compile(
    r"(?:\b(?:rate[sd]?|gives?|gave|giving|deserves?|assign(?:s|ed)?|award(?:s|ed)?|earns?|merits|given(?=\s(?:an?|it|this)\b)|put|settle\son|gets|receives?|solid|perfect)\b"
    r"[^.\d;:!?\n]{0,60}|\b(?:reduced|lowered|raised|drops|dropped|down)\sto\s|\b(?:choose|pick)\s(?:an?\s)?|(?:'d|would)\s(?:say|go\swith|call\sit|be|get)(?:\s(?:it's|an?|about|around))*\s|(?:打|给|评|(?<!觉)得|值|评为|选择?|取)(?:[了个它出到上为予]|这张图片?|该图片?)*\s?)$"
)
_BETWEEN = re.compile(r"(?:\bbetween\s|介于)$")
_AT_FIRST = re.compile(
    r"(?:先[给打评]|起初|原[本来先]?|最初|1开始|本来|初[评始步]|\b(?:initially|originally|at\sfirst|(?:love|wanted)\sto|(?:would|could|might|i'd)\shave(?!\sto\b)))[^。;:，,\n\d]{0,20}$"
)
_IF = re.compile(
    r"(?:如果|要是|假如|倘若|若)[^。;\n]{0,40}(?:就|才|可)[能会可以]{0,2}[给得打]?到?\s?$"
    r"|\bif\b[^.\n]{0,60}(?:'d|would)\s(?:be|get|give)\b[^.\n]{0,20}$"
)
_PART = re.compile(
    r"(?:主体|背景|构图|色彩|颜色|光线|细节|清晰度|场景|置信度|质量|画质|美[学观]|店铺|商品|用户|初步|基础|余弦|豆瓣|海报|电影|subject|background"
    r"|composition|colou?r|lighting|detail|clarity|quality|aesthetics?|confidence|user|store|cos|cosine|initial|base|imdb|movie|film)\s?$"
)
_TAKEN_BACK = re.compile(
    r"(?:[扣减加]分\s?:?|(?:不足以|无法|不能|难以|不会|未能|没能|没有|达不到)[给打得拿达评到了]{0,3}"
    r"|(?:\bnot|n't|\bcannot|\bnot\sworthy\sof)\s(?:give|deserve|merit|earn|reach|get)(?:\s(?:it|this|an?|full|perfect))*"
    r"|扣除?|减去?|加上?|(?<!至)少|(?<!不)差|不是|并非|(?:\bnot|n't)(?: an?)?(?: perfect)?"
    r"|\b(?:deduct\w*|minus|los[et]s?|losing|subtract\w*|plus|bonus|off|by))\s?[了去掉]?$"
)
_QUOTED = re.compile(
    r"(?:写[着有]|显示|标注|印[着有]|字样|字幕|\b(?:says?|reads?|reading|shows?|showing))[^\"\n]{0,20}\"[^\"\n]{0,20}$"
)
_SIGN_OR_SLASH = re.compile(r"(?<![\w)\-])-\Z|负\Z|\bnegative\s\Z|/\s?\Z")
_ODD_BEFORE = re.compile(
    r"(?:第|图|[¥€£x×]|\bno\.|\b(?:step|figure|fig\.?|image|level|version|page))\s?$|[\d点][-:点/]\Z|[a-z]\Z"
)

# What stands behind it: a unit, a percentage, a thing that is counted.
_UNIT = re.compile(rf"\s?\+?(?:{_FEN}|颗?星(?=\W|$)|points?\b|pts?\b)")
_PERCENT = re.compile(
    r"\s?(?:%|percent\b)(?P<of_match>\s?的?\s?(?:match|relevan|similar|匹配|相关|符合|吻合|契合|相似))?"
)
_COUNTED = re.compile(
    r"\s?(?:[只个张条位人名辆件朵棵头匹双种年月日号元岁度米秒项处层]|颗(?!星)|点[\d钟]|分(?:[钟辨米贝]|之(?!间))|[:×]\d"
    r"|points?\s(?:off|deducted|lost))|-?(?!(?:points?|pts?|stars?|marks?|out|reason)(?![a-z]))[a-z]|\s(?:px|cm|mm|x)\b"
)
_QUOTE = re.compile(r"\w\s?[\"']\Z")  # the query "3 red apples"
_THINGS = re.compile(r" (?:(?!points|stars|marks|pts)[a-z]{2,}s|people|children|men|women)\b")
_OF_THEM = re.compile(r"\sof\b|的")
_HOW_MANY = re.compile(r"(?:\bhow many(?! points)|(?:几|多少)(?![分何]))[^?\n]{0,40}\?\s?$")
_PICTURE = re.compile(r"(?:(?<!\bthis\s)(?<!\bthe\s)\b(?:image|picture|photo)\s|(?<![张该此])图片?\s?)#?\(?\Z")
_ITEM_START = re.compile(r"(?:^|[\n。;]|\.\s)[\s(]?\Z")
_OVERALL = re.compile(r" (?:overall|in total)\b(?!\s?[a-z:=])|\s?\((?:overall|total|总[分评体]|综合)\)")
_LIST_MARK = re.compile(r"[.)、](?:[^\W\d]| \S)")
_CLAUSE_START = re.compile(
    r"(?:^|[\n。;!?，]|(?<!\d),|\.\s)\s?(?:(?:it|this|that|th(?:is|e) (?:image|picture|photo))(?:'s| is) )?(?:an?\s)?"
)
_CLAUSE_END = re.compile(r"[\n。;!?,，:]|\.(?!\d)|(?:\s-\s|--)(?=[^\s\d])")
_ASIDE = re.compile(r"\((?!\s?\d)[^()]{0,40}\)")
_TABLE = re.compile(r"^ ?\|(?P<names>[^\n]{1,200})\n ?\|[-:| ]{1,200}\n(?P<rows>(?: ?\|[^\n]*\n?)+)", re.MULTILINE)
_NO_HEADING = re.compile(r"\s*(?:value|result|content|数值|值|结果|内容)?\s*")
_BAR = re.compile(r"\|")
_CELL = re.compile(r"\|\s?\Z"), re.compile(r"\s?\|")  # of a table

# What ends a score that is still being written: no further digit, unit or scale can come.
_SETTLED = re.compile(
    r"\s?(?:分|/\s?\d+|out\sof\s\d+)?(?:\s?\([^()]{0,30}\))?"
    r"(?:\n|\s?[。，;!、)\]}\"'<|]|[.,](?:\s|[^\d\s])|(?<=分)[^\W\d之制半钟数到至]"
    r"|\s(?!(?:out|of|to|and|points?|stars?|pts?)\b)[a-z]+[^a-z])"
)


@dataclass(frozen=True)
class _Number:
    """A number in the plain text: its worth from 0 to 10, how much it is a score (`rank`), whether it is written as one
    number in digits (`clear`: no range, no words, no 8.6.2), its place in the answer, and what is behind it.
    """

    value: float
    rank: int
    clear: bool
    span: tuple[int, int]
    behind: str

    @property
    def tier(self) -> Tier:
        return "primary" if self.clear and self.rank >= _WITH_UNIT else "fallback"

    @property
    def is_full_total(self) -> bool:
        return self.rank == _TOTAL and self.value == 10 and not _OUT_OF.match(self.behind)


def parse_score(answer: str) -> ParsedScore:
    """The score in an answer, by the three tiers of the design; never raises. Of an answer longer than any model is let
    write, its two ends are read, so that the time is bounded.
    """
    left_out = len(answer) - 2 * _END_READ
    best = _best(answer if left_out <= 0 else answer[:_END_READ] + "\n" + answer[-_END_READ:])
    if best is None:
        return NO_SCORE
    moved = left_out - 1 if left_out > 0 and best.span[0] > _END_READ else 0
    return ParsedScore(best.value, best.tier, (best.span[0] + moved, best.span[1] + moved))


def score_is_complete(answer: str) -> bool:
    """Whether an answer that is still being written already holds its score for good: an explicit one, with something
    behind it that ends the number and its unit. (A total named later would still win; the prompts ask for the score
    first.)
    """
    best = _best(answer)
    return best is not None and best.tier == "primary" and _SETTLED.match(best.behind) is not None


def _best(answer: str) -> _Number | None:
    """The number that is most a score; of equals the first in plain digits."""
    plain = _with_headings(plain_text(answer))
    scales = {max(map(float, re.findall(r"\d+", said))) for said in _SCALE.findall(plain.text)} - {0.0}
    scale = scales.pop() if len(scales) == 1 else 10.0
    plain = (
        plain.replaced(_SCALE, lambda _: " ").replaced(_SUM, lambda _: "得分:").replaced(_FULL_MARKS, lambda _: "10分")
    )
    numbers = list(_numbers(answer, plain, scale))
    explicit = [number for number in numbers if number.rank >= _WITH_UNIT]
    if len(explicit) == 2:  # 6分，总分10分: a full total beside a single score is its scale
        numbers = [number for number in explicit if not number.is_full_total] or numbers
    return max(numbers, key=lambda number: (number.rank, number.clear), default=None)


def _with_headings(plain: PlacedText) -> PlacedText:
    """With the name of its column before every cell of a Markdown table, so that it is read like any other label."""
    headings: dict[int, str] = {}  # by the place of the bar before the cell
    for table in _TABLE.finditer(plain.text):
        names = [re.sub(r"\([^()]*\)|\d", "", name) for name in table["names"].split("|")]
        for row in re.finditer(r"[^\n]+", table["rows"]):
            bars = [row.start() + table.start("rows") + at for at, mark in enumerate(row[0]) if mark == "|"]
            total = "总分 " if _TOTAL_NAME.search(row[0].strip("| ").split("|")[0]) else ""
            headings.update(
                (bar, total + name) for bar, name in zip(bars, names, strict=False) if not _NO_HEADING.fullmatch(name)
            )
    return plain.replaced(_BAR, lambda bar: f"|{headings[bar.start()]}:" if bar.start() in headings else "|")


def _numbers(answer: str, plain: PlacedText, scale: float) -> Iterator[_Number]:
    """All numbers that can be scores. A number in words counts only where something says that it is a score."""
    text, done = plain.text, 0
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        if start < done:
            continue
        value = _value(match[0])
        upper = _RANGE.match(text, end)
        if _PICTURE.search(text[max(0, start - 12) : start]):
            upper = None
        if upper and text[max(0, start - 1) : start] != "-" and value < float(upper[1]) <= scale:
            value, end = (value + float(upper[1])) / 2, upper.end(1)
        in_range = end > match.end()
        out_of = _OUT_OF.match(text, end)
        done = out_of.end() if out_of else end
        span = plain.place(start, end)
        in_digits = any(character.isdecimal() for character in answer[slice(*span)])
        before, behind = text[max(0, start - _BEFORE) : start], text[end : end + _BEHIND]
        own_scale = float(out_of[1]) if out_of else 100.0 if _PERCENT.match(behind) else None
        worth = _worth(value, own_scale, scale)
        rank = _rank(before, behind, out_of, in_digits and match[0].isdecimal())
        if worth is not None and rank >= (_UNLIKELY if in_digits else _WITH_UNIT):
            yield _Number(worth, rank, in_digits and not in_range and match[0].count(".") < 2, span, behind)


def _value(digits: str) -> float:
    """`8.6.2` and `8,6` are read as 8.6; numbers too long to be scores as something far out of range."""
    if re.search(r",\d{3}", digits):
        digits = digits.replace(",", "")
    whole, *parts = re.split(r"[.,]", digits)
    return float(f"{whole or 0}.{parts[0] if parts else 0}") if len(digits) <= 40 else 1e9


def _worth(value: float, own_scale: float | None, scale: float) -> float | None:
    """`value` from 0 to 10: by its own scale (4/5, 92%), by the scale the answer states, or as it is."""
    cut_off = own_scale == 1 and 1 < value <= 10  # 8.6/1, the 0 yet to come
    if own_scale is None or cut_off:
        own_scale = scale if value <= scale else 10.0
    return round(10 * value / own_scale, 4) if value <= own_scale and own_scale > 0 else None


def _rank(before: str, behind: str, out_of: re.Match[str] | None, countable: bool) -> int:
    """How much a number is a score, from what stands before and behind it."""
    near = before[-24:]
    if _SIGN_OR_SLASH.search(near) or _TAKEN_BACK.search(near):
        return _NEVER
    if _COUNTED.match(behind) or (countable and _is_listed(before, behind)):
        return _UNLIKELY
    if _HOW_MANY.search(before):
        return _UNLIKELY
    if countable and _PICTURE.search(near) and re.match(r"\)?\s?(?:[:的]|-\s|is\b|gets\b|an?\b|as\b)", behind):
        return _UNLIKELY
    label, asked = _LABEL.search(before), _ASKED.search(before)
    unit, percent = _UNIT.match(behind), _PERCENT.match(behind)
    rest = behind[len(out_of[0]) if out_of else max(found.end() if found else 0 for found in (unit, percent)) :]
    marked = (
        unit
        or (percent and percent["of_match"])
        or (out_of and (_is_usual(out_of) or rest[:1] == "分") and not _OF_THEM.match(rest))
    )
    if asked and (_THINGS.match(behind) or _PART.search(re.sub(r"[可能以该应值]+$", "", before[: asked.start()]))):
        asked = None
    if (out_of and not _is_usual(out_of) and _OF_THEM.match(rest)) or (
        _QUOTE.search(near) and re.match(r"\s[a-z]", rest)
    ):
        label = asked = None
    if label and label["weak"] and not (marked or _is_alone("", rest) or rest[:2] == " ("):  # Result: 3 cats found
        label = None
    if label and label["weak"] and out_of and not (marked or "/" in out_of[0]):  # Result: 3 of 4
        label = None
    if not (label or asked or marked) and _ODD_BEFORE.search(near):
        return _UNLIKELY
    total = _TOTAL_NAME.search(before)
    if (marked or asked) and _AT_FIRST.search(before):
        return _POSSIBLE
    if marked and _CONVERTED.search(before):
        return _TOTAL
    if _OVERALL.match(rest):
        return _TOTAL
    if (
        total
        and not _PART.search(total["rest"].rstrip(": "))
        and (marked or label or asked or _leads_to(total["rest"], rest))
        and not _THINGS.match(behind)
    ):
        return _TOTAL
    if (
        label
        and not percent
        and not (_PART.search(before[: label.start()]) or _QUOTED.search(before) or _IF.search(before))
    ):
        return _LABELLED
    if (asked and not percent and not (_IF.search(before) or _QUOTED.search(before))) or _is_alone(before, rest):
        return _LABELLED
    if marked or label or asked or _BETWEEN.search(near) or (_CELL[0].search(before) and _CELL[1].match(rest)):
        return _WITH_UNIT
    return _UNLIKELY if out_of or re.match(r"\s[a-z]", behind) else _POSSIBLE


def _is_usual(out_of: re.Match[str]) -> bool:
    """Whether a fraction is one that scores are given in; 3/4 and 2 of 5 may count something else."""
    return float(out_of[1]) in (10, 100) or "star" in out_of[0]


def _leads_to(between: str, rest: str) -> bool:
    """Whether a total's name leads straight to its number: `overall: 7`, `总体为7`, `overall 7.`, `a total of 7.`"""
    named = re.fullmatch(r'\W*(?:[:=|"→是为]|\bis\b)\W*', between)
    return named is not None or (between.strip() in ("", "of") and _is_alone("", rest))


def _is_alone(before: str, rest: str) -> bool:
    """Whether nothing else is said in the number's clause."""
    clause = _CLAUSE_START.split(before)[-1] + _CLAUSE_END.split(_ASIDE.sub("", rest), maxsplit=1)[0]
    return not re.search(r"\w", clause) and clause.count("(") == clause.count(")")


def _is_listed(before: str, behind: str) -> bool:
    """Whether this is an item's number in a list: `1. the subject`."""
    return _ITEM_START.search(before) is not None and _LIST_MARK.match(behind) is not None
