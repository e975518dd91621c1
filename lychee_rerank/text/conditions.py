"""The conditions of a query: the parts that a picture can meet or miss, each of which reads as a query by itself.

Punctuation parts a query first, conjunctions next. What was typed without punctuation, and any item of a list that is
as long as a sentence, is then cut into phrases: English before a preposition or participle, Chinese by parts of speech.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

from lychee_rerank.text import chinese_phrases, english_phrases
from lychee_rerank.text.query import HAN, is_content_char

Span = tuple[int, int]
Cutter = Callable[[str], Iterator[Span]]  # yields what stands between two parts: a connector, or an empty span

_HAN = re.compile(f"[{HAN}]")
_QUOTED = re.compile(r"""(?<![A-Za-z0-9])(["'])(?!\1).*?\1(?![A-Za-z0-9])|“.*?”|‘.*?’|「.*?」|『.*?』|《.*?》""")
_JOINER = re.compile(
    r"(?<=[A-Za-z0-9])[-'’.&/:×](?=[A-Za-z0-9])|(?<=\d),(?=\d)|(?<=black) (?=and white)|(?<=black and) (?=white)", re.I
)
_SEPARATOR = re.compile(
    rf"""
    (?:^|(?:[,;!?。、|()\[\]{{}}【】〖〗•·…①-⑳]|[^\S\ ]|\.{{2}}|[-—–]{{2}})+)\s*
      (?:\d{{1,2}}[.)、]\s*(?=[^\W\d])|[-*]\s)?                        # with the number or bullet of a list
    | \s[-—–/+>*]+\s | (?<=[^\W\d])\+(?=[^\W\d]) | (?<!\w)\#(?!(?:[0-9A-Fa-f]{{3}}){{1,2}}\b)
    | (?<!\b[A-Za-z])(?<!\b[A-Z][a-z])(?<!\bMrs)\.(?=\s|$)
    | (?<=[{HAN}])\s+(?:\d{{1,2}}[.)、]\s*)?(?=[{HAN}])
    """,
    re.VERBOSE,
)
_SENTENCE_WORDS = 5  # an item of a list with more is cut like a sentence; a Chinese word is 1.5 characters here


def split_conditions(text: str) -> tuple[str, ...]:
    """The parts of a query as typed, in order, each once; at least one for a query with content."""
    plain = _plain(text)
    items = list(_pieces(plain, (0, len(plain)), _separators))
    parts: list[Span] = []
    for item in items:
        pieces = list(_pieces(plain, item, _conjunctions))
        cut = len(items) == 1 or _is_sentence(plain[slice(*item)])
        parts += [phrase for piece in pieces for phrase in _pieces(plain, piece, _phrases)] if cut else pieces
    return tuple(dict.fromkeys(text[start:end] for start, end in parts)) or (text.strip(),)


def _plain(text: str) -> str:
    """The text at the same length in plain characters, with quotes, numbers and compounds each made one word."""
    normal = (unicodedata.normalize("NFKC", character) for character in text)
    plain = "".join(
        new if len(new) == 1 and not "①" <= old <= "⑳" else old for new, old in zip(normal, text, strict=True)
    )
    return _JOINER.sub(".", _QUOTED.sub(_mask, plain))


def _mask(quoted: re.Match[str]) -> str:
    return ("q" if _has_content(quoted.group()) else " ") * len(quoted.group())


def _has_content(words: str) -> bool:
    return any(map(is_content_char, unicodedata.normalize("NFKC", words)))


def _pieces(plain: str, span: Span, cutter: Cutter) -> Iterator[Span]:
    """The spans between the connectors of a span, trimmed, those without content left out."""
    start, end = span
    connectors = [(start + left, start + right) for left, right in cutter(plain[start:end])]
    if cutter is _conjunctions and connectors and not connectors[0][0]:
        del connectors[0]  # a conjunction that begins the query belongs to it
    for (_, left), (right, _) in pairwise([span[:1] * 2, *connectors, span[1:] * 2]):
        words = plain[left:right]
        if _has_content(words):
            yield left + len(words) - len(words.lstrip(" :~")), right - len(words) + len(words.rstrip(" :~"))


def _is_sentence(words: str) -> bool:
    """Whether an item of a list is long, or holds words of both languages side by side."""
    han, latin = len(_HAN.findall(words)), len(re.findall(r"[A-Za-z]+", words))
    return han / 1.5 + latin > _SENTENCE_WORDS or bool(han and latin and " " in words)


def _separators(plain: str) -> Iterator[Span]:
    return (match.span() for match in _SEPARATOR.finditer(plain))


def _conjunctions(words: str) -> Iterator[Span]:
    chinese = chinese_phrases.conjunctions(words) if _HAN.search(words) else ()
    return iter(sorted([*english_phrases.conjunctions(words), *chinese]))


def _phrases(words: str) -> Iterator[Span]:
    return chinese_phrases.phrases(words) if _HAN.search(words) else english_phrases.phrases(words)
