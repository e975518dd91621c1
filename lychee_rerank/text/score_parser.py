"""What the model answered -> its score from 0 to 10.

The answer is made plain first: one form for every digit and mark, markup off, words for numbers as digits, and
statements of the scale ("out of 10", 满分10分) taken out and remembered. Then RULES are tried in order; the first that
finds a number from 0 to 10 gives the score. Every pattern is bounded, so the time grows with the length only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

PARSER_VERSION = 1  # raise it when any answer is read differently: scores kept under another version are not used
Tier = Literal["primary", "fallback", "default"]
_New = str | Callable[[re.Match[str]], str]  # what a match is replaced with


@dataclass(frozen=True)
class ParsedScore:
    """`value` 0.0 to 10.0; `tier` says how sure the reading is: an explicit score, a guess, or nothing found; `span`
    is (start, end) of the number in the answer; `rule` is the name of the rule that found it.
    """

    value: float
    tier: Tier
    span: tuple[int, int] | None
    rule: str = ""


@dataclass(frozen=True)
class Rule:
    """`pattern` finds the number in the plain answer; `example` is an answer and its value."""

    name: str
    tier: Tier
    pattern: str
    example: tuple[str, float]


def _any(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


# A number, perhaps a range; beside it no minus, date, time, size, list mark or longer number. Then its unit or scale.
_LEFT = r"(?<![\d.a-z])(?<!(?<![-\w])-)(?<!\d-)(?<!负)(?<!minus )(?<!\d/)(?!(?<=\d:)\d\d(?!\d))"
_DIGITS = r"(?>(?P<number>\d{1,3}(?:\.\d{1,4}|,\d{1,2})?))(?P<more>(?:\.\d+){0,9}+)(?!\d|[.,:x]\d|(?<=\n\d)[.、)])"
_RANGE = r"(?: ?分? ?(?:[-~到至或]|\bto\b|\bor\b) ?(?:an? )?(?P<upper>\d{1,2}(?:\.\d{1,2})?)(?!\d|\.\d|[月日号年:]))?"
_VALUE = _LEFT + _DIGITS + _RANGE
_UNIT = r"(?: ?(?:分(?![钟别辨布割析米贝类享数制袖裤]|之(?!间))|颗?星|(?:points?|pts|stars?)\b))"
_OF = r"(?:/|out of(?: a possible)?|of(?= 10| 5 stars))"
_OUT_OF = rf"(?: ?{_OF} ?(?P<scale>\d{{1,3}})(?!\d|\.[1-9]|/)(?:\.0)?| ?(?P<percent>%|percent))"
_NUMBER = rf"{_VALUE}(?:{_UNIT}?{_OUT_OF}|{_UNIT})?"
# Behind a score stands no thing that is counted: 8, 8分, "8 because", but not "8 dogs" or 8只狗.
_GOES_ON = _any("out because for from to(?!.\\d) as since due on with based match and but here would is at")
_END = rf"(?:(?= ?(?:{_GOES_ON}\b|左右|吧|上下|之间|因|的[高低评]?分))|(?! ?[-/]?\w))"
_SCORE = rf"{_VALUE}(?:{_UNIT}?{_OUT_OF}{_UNIT}?{_END}|{_UNIT}|{_END})"

# What names a score, and what may stand between that and the number.
_LABEL = _any("得分 评[分价级] [打给]分 分[数值] 成绩 scores? scored scoring rating rated? graded? boxed")
_ANSWER = "答案? 结[果论] 输出 answer result output"
_MATCH = _any("(?:相关|[匹相吻契符][配似合])(?:性|程?度|率) relevanc[ey] similarity match(?:ing)? " + _ANSWER)
_TOTAL = _any("总[得评]?分 总[体评计] [综加合][合计起] 整体 最终 平?均分? overall (?<!in.)(?<!a.)total final average")
_IS = _any("is was of an? be about around")
_LINK = rf"(?:[^\w.。,，;!?%]|[是为约大概应该可以在达到给出的值等于打定则如下我会认仅只有]|\b{_IS}\b){{0,16}}"
_PHRASE = r"[^\d.。;!?\n]{0,60}(?:\b(?:is|be|as|at|of)\b|[:是为])\W{0,4}(?:(?:about|around|an?) )?"
_VERBS = _any("rate scored? giv(?:es?|ing) gave assign award deserves? gets? earns? merits? receives? say go.with")
_VERB = rf"\b(?:{_VERBS}|(?:is|be|'s) an?|a (?:solid|perfect))\b[^\d.。;:!?\n]{{0,50}}"
_START, _STOP = r"\A\W{0,9}", r"[ ()\ue000-\ue3e7]{0,9}(?:[。;!?\n]|\.(?!\d|\Z))"
_NOT_OFF = "(?<![扣减加差少])(?<![扣减][除了去掉])"  # 扣1分 takes a point off
_FRACTION = rf"{_VALUE}{_UNIT}?{_OUT_OF}(?:(?<=0)|(?= ?stars)){_UNIT}?{_END}"  # 8/10; 2/3 may count things

RULES = (
    Rule("score at the start", "primary", rf"{_START}{_LABEL}{_LINK}{_NUMBER}{_STOP}", ("得分：8.6分。共2只猫", 8.6)),
    Rule("total", "primary", rf"{_TOTAL}[^\d.。;\n]{{0,24}}{_SCORE}", ("主体9分，背景7分，总分8分", 8)),
    Rule("label and number", "primary", rf"{_LABEL}{_LINK}{_NUMBER}", ("2 dogs. Score: 8.6 (a cat is missing)", 8.6)),
    Rule("match and number", "primary", rf"{_MATCH}{_LINK}{_SCORE}", ("匹配度：86%", 8.6)),
    Rule("label in a sentence", "primary", rf"(?:{_LABEL}|{_MATCH}){_PHRASE}{_SCORE}", ("Its score for you is 7.", 7)),
    Rule("verb and number", "primary", _VERB + _SCORE, ("I'd give it a 6.5.", 6.5)),
    Rule("Chinese verb and number", "primary", rf"[打给得评值][了个它出到为上予]{{0,2}} ?{_SCORE}", ("扣2分，给8", 8)),
    Rule("number out of a scale", "primary", _FRACTION, ("A close match, 8.5/10", 8.5)),
    Rule("number and unit", "primary", rf"{_NOT_OFF}{_VALUE}{_UNIT}{_OUT_OF}?", ("2只猫，8分", 8)),
    Rule("percentage of match", "primary", rf"{_NUMBER}(?<=%) ?的?(?:match|relevan|[相匹符])", ("A 90% match.", 9)),
    Rule("number alone", "primary", rf"(?:\A|[\n。|]|[.!?] )\W{{0,6}}{_NUMBER}\W{{0,9}}(?:\Z|[\n|])", ("8.6", 8.6)),
    Rule("number at the start", "primary", rf"{_START}(?:an? |about )?{_SCORE}", ("8.6. The 2 dogs fit.", 8.6)),
    Rule("number by itself", "fallback", _SCORE, ("maybe 5?", 5)),
    Rule("any number", "fallback", _NUMBER, ("图中有3只猫", 3)),
)
_PATTERNS = [re.compile(rule.pattern) for rule in RULES]

# What an answer says of its scale: 满分10分, out of 10, on a scale from 0 (no match) to 10. It becomes one private
# character, _SCALE_ZERO plus the scale, so that it is no number and still known.
_TOP = r"(5|[1-9]0{1,2})(?![.\d])"
_ASIDE = r"(?: ?\([^()\d]{0,40}\))?"
_TO = "(?:[-~到至]| to )"
_SCALES = (
    rf"(?<![给打得])(?:满分|最高(?:可得|得?分)?|上限)[是为:= ]{{0,3}}{_TOP} ?(?:分|颗?星)?",
    r"(?<![\d.])(\d{1,3}) ?分[是为]?(?:满分|制|最高)",
    rf"(?:\((?:总分|共)[是为:]?|[按以]){_TOP}分",
    rf"总分[是为:]? ?{_TOP}分?(?=[,，。] ?[^,，。\d]{{0,6}}[得给打][^,，。\d]{{0,3}}:?\d)",  # 总分10分，我给8分
    rf"(?<![\d.])[01] ?分?(?:\.0)?{_ASIDE} ?{_TO} ?(10)(?:\.0)?(?!\d|\.\d)(?: ?分|{_ASIDE})",
    rf"(?:[(从在]|scale (?:of|from) )[01] ?分?{_TO} ?{_TOP}分?",
    rf"(?<!\d)(?<!\d分)(?<!\d )(?<!points )(?<!stars )(?:out of|/) ?{_TOP}",
    r"\b(\d{1,3})[- ]point scale",
    r"scale of (\d{1,3})(?! ?(?:-|to))",
    r"max(?:imum)?(?: possible)?(?: score)?(?: is| of|\W{0,3}) ?(\d{1,3})",
    r"\b(10|5|0) ?分?(?:表示|代表| means| being|= ?[a-z])",
)
_SCALE_ZERO = 0xE000
_SCALE_MARK = re.compile("[\ue002-\ue3e7]")
_SENTENCE_END = re.compile(r"[。!?;\n]|\.(?!\d)|\Z")

# Capitals, traditional characters, dashes and quotation marks, character by character.
_ONE_FORM = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ評總數滿綜終給為關價點圖這體對條两兩～〜∼−—–「」【】“”",
    'abcdefghijklmnopqrstuvwxyz评总数满综终给为关价点图这体对条二二~~~---[][]""',
)
# Words for numbers, where they may be a score: 八分 but not 八只, and not 十分清晰, which means "very clear".
_ZH = "零一二三四五六七八九十"
_EN = "zero one two three four five six seven eight nine ten"
_WORD_VALUES = {word: str(value) for words in (_ZH, _EN.split()) for value, word in enumerate(words)} | {"百": "100"}
_ZH_WORD = rf"(?!十分[^\W制满])(?:[{_ZH}]|百(?=分制))(?:点[{_ZH}]{{1,2}})?(?=分|颗?星|[^\w、]|[到至]|\Z)"
_EN_WORD = rf"(?<!this )(?<!that )(?<!the )\b(?!one (?!point|out|to)){_any(_EN)}\b(?: point(?: {_any(_EN)}){{1,2}})?"
_DENIAL = r"(?:不足以|[无没]法|不能|本来[想可要]以?|n't|\bnot|\bcannot)"
_GRANT = _any("quite give deserve get be it an? [打给得到达]")


def _digits(match: re.Match[str]) -> str:
    whole, *part = (_WORD_VALUES[word] for word in re.findall(rf"{_any(_EN)}|[{_ZH}百]", match[0]))
    return whole + ("." if part else "") + "".join(part)


# What is replaced to make an answer plain, in this order. Tags such as <score> stay, as labels.
_STEPS: tuple[tuple[str, _New], ...] = (
    (r"[^\x00-\x7f\u4e00-\u9fff，。]", lambda match: unicodedata.normalize("NFKC", match[0])),
    (r"(?s)\A.*</think(?:ing)?>", ""),
    (r"(?:[ \t\r*_`#$\\]|</?(?!score|rating|answer|think)[a-z][^<>\n]{0,40}>)+", " "),
    (r" ?\n\s*", "\n"),
    (rf"{_ZH_WORD}|{_EN_WORD}", _digits),
    (r"(?<=\d)(?: and a half|(分)半)", r".5\1"),
    (r"(?:between|介于|在) ?(?:an? )?(\d{1,2}(?:\.\d)?) ?分? ?(?:and|[和与]) ?(?:an? )?(?=\d)", r"\1-"),
    (r"(?<![\d.])\(?\d(?:[\d +*/×÷()分-]|\.\d){1,60}= ?(?=\d)", " "),  # 4+2+2=8
    (rf"{_DENIAL}(?: ?{_GRANT}){{1,4}} ?\d{{1,2}}(?:\.\d)?", " "),  # 不能给10分
    (r"(?<![^给打得了:,，。!?\n]) ?满分(?= ?[,，。;!\n]|\Z)|\b(?:full marks|perfect score)\b(?!:| of)", "10分"),
    ("|".join(_SCALES), lambda match: chr(_SCALE_ZERO + int(match[match.lastindex or 0]))),
)
_PLAIN = [(re.compile(pattern), new) for pattern, new in _STEPS]


@dataclass(frozen=True)
class _Text:
    """Characters, each with its position (start, end) in the answer."""

    text: str
    positions: list[tuple[int, int]]

    def replace(self, pattern: re.Pattern[str], new: _New) -> _Text:
        """With every match replaced; each new character has the position of the whole match."""
        text: list[str] = []
        positions: list[tuple[int, int]] = []
        done = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            replacement = match.expand(new) if isinstance(new, str) else new(match)
            text += self.text[done:start], replacement
            positions += self.positions[done:start]
            positions += [(self.positions[start][0], self.positions[end - 1][1])] * len(replacement)
            done = end
        return _Text("".join([*text, self.text[done:]]), positions + self.positions[done:])


def parse_score(answer: str) -> ParsedScore:
    """The score in an answer: an explicit one, else the first number that can be one, else 0.0. Never raises."""
    plain = _plain(answer)
    for rule, pattern in zip(RULES, _PATTERNS, strict=True):
        for match in pattern.finditer(plain.text):
            value = _value(match)
            start, end = match.start("number"), max(match.end("number"), match.end("upper"))
            span = plain.positions[start][0], plain.positions[end - 1][1]
            in_digits = any(character.isdecimal() for character in answer[slice(*span)])
            if value is None or (rule.tier == "fallback" and not in_digits):  # "two dogs" is no score
                continue
            clear = in_digits and match["upper"] is None and not match["more"]
            return ParsedScore(value, rule.tier if clear else "fallback", span, rule.name)
    return ParsedScore(0.0, "default", None)


def score_is_complete(answer: str) -> bool:
    """Whether an answer that is still being written holds its score for good: it begins with a label, a number and
    the end of the sentence, which the first rule reads whatever follows.
    """
    return parse_score(answer).rule == RULES[0].name


def _plain(answer: str) -> _Text:
    text = _Text(answer.translate(_ONE_FORM), [(at, at + 1) for at in range(len(answer))])
    for pattern, new in _PLAIN:
        text = text.replace(pattern, new)
    return text


def _value(match: re.Match[str]) -> float | None:
    """The number from 0 to 10: by its own scale, else by the last one stated up to the end of its sentence."""
    number, groups, start = float(match["number"].replace(",", ".")), match.groupdict(), match.end("number")
    if groups["upper"]:
        if float(groups["upper"]) <= number:
            return None
        number = (number + float(groups["upper"])) / 2
    stop = _SENTENCE_END.search(match.string, start, start + 200)
    marks = _SCALE_MARK.findall(match.string, max(0, start - 400), stop.start() if stop else start)
    scale = float(ord(marks[-1]) - _SCALE_ZERO) if marks else 10.0
    scale = 10.0 if scale < number <= 10 else scale
    scale = 100.0 if groups.get("percent") else float(groups.get("scale") or scale)
    return round(10 * number / scale, 4) if 0 < scale and number <= scale else None
