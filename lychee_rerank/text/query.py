"""The query as the model reads it: the same wish typed in different ways gets the same scores.

Full-width letters and digits become plain; English is lower-cased and loses the punctuation around its words; Chinese
is cut into meaning units and joined again without spaces (Qwen's vocabulary breaks a Chinese word after a space into
byte pieces); a marker stands where the language changes. Quoted text, numbers, hex colors and compounds such as
`black_cat` stay as they are.
"""

from __future__ import annotations

import logging
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

from lychee_rerank.errors import QueryError

MAX_CHARACTERS = 2000  # the model was trained on at most 3,200 tokens, image and prompt included

HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # planes 2 and 3 whole
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_CHINESE_PUNCTUATION = "，。、；：？！（）《》〈〉「」『』【】“”‘’…—～·"
_ASCII_SYMBOLS = "+<=>^`|~"
_PIECE = re.compile(
    rf"""
    (?P<quoted>"[^"]*"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|《[^》]*》)
    | (?P<color>\#(?:[0-9A-Fa-f]{{8}}|[0-9A-Fa-f]{{6}}|[0-9A-Fa-f]{{3,4}})(?![0-9A-Za-z]))
    | (?P<han>[{HAN}]+)
    | (?P<number>[-+]?\d[\d.,:/×x]*(?<=\d)%?(?![{_LATIN}]))
    | (?P<english>[{_LATIN}0-9]+(?:[-_'’.&+/][{_LATIN}0-9]+)*\+*)
    | (?P<word>[^\W\d_]+)
    | (?P<space>\s+)
    | (?P<punctuation>[{_CHINESE_PUNCTUATION}])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_import_lock = Lock()


@dataclass(frozen=True)
class Query:
    """A query as typed (`text`) and as the model reads it (`normalized`).

    `units` are its meaning units in order (Chinese words as jieba cuts them, English words, numbers, quoted text);
    `languages` its languages in order of appearance: "zh", "en", both or neither.
    """

    text: str
    normalized: str
    units: tuple[str, ...]
    languages: tuple[str, ...]

    @property
    def language(self) -> str:
        """The language to ask the model in: "zh" where there is any Chinese, else "en"."""
        return "zh" if "zh" in self.languages else "en"


class _Piece(NamedTuple):
    kind: str  # a group of _PIECE
    text: str

    @property
    def language(self) -> str | None:
        return {"han": "zh", "english": "en"}.get(self.kind)


def normalize_query(text: str) -> Query:
    """The query as the model should read it. Raises QueryError if it is empty, punctuation only or too long."""
    pieces = _split(_validate(text))
    languages = dict.fromkeys(piece.language for piece in pieces if piece.language)
    return Query(text, _join(pieces), tuple(_units(pieces)), tuple(languages))


def raw_query(text: str) -> Query:
    """The query exactly as typed (normalizing switched off). Raises QueryError as `normalize_query` does."""
    return replace(normalize_query(text), normalized=_printable(text).strip())


def _validate(text: str) -> str:
    plain = _nfkc(_printable(text)).strip()
    if len(plain) > MAX_CHARACTERS:
        raise QueryError("too_long", f"The query has {len(plain)} characters; at most {MAX_CHARACTERS} can be read.")
    if not plain:
        raise QueryError("empty", "The query is empty: type what the pictures should show.")
    if not any(is_content_char(character) for character in plain):
        raise QueryError("punctuation_only", "The query holds only punctuation: type what the pictures should show.")
    return plain


def is_content_char(character: str) -> bool:
    """Letters, digits, symbols such as emoji or €, and what the Unicode tables of this Python do not know yet."""
    category = unicodedata.category(character)
    return (category[0] in "LNS" and character not in _ASCII_SYMBOLS) or category in ("Cn", "Co")


def _printable(text: str) -> str:
    """Without control characters and lone surrogates; line breaks become spaces. Unknown characters stay."""
    characters = (" " if character.isspace() else character for character in text)
    return "".join(character for character in characters if unicodedata.category(character) not in ("Cc", "Cs"))


def _nfkc(text: str) -> str:
    """Unicode NFKC, except for Chinese punctuation: it separates conditions, and its ASCII forms would not."""
    return re.sub(f"[^{_CHINESE_PUNCTUATION}]+", lambda match: unicodedata.normalize("NFKC", match.group()), text)


def _split(text: str) -> list[_Piece]:
    pieces = [_Piece(str(match.lastgroup), match.group()) for match in _PIECE.finditer(text)]
    return [piece for index, piece in enumerate(pieces) if not _adjoins_english(pieces, index)]


def _adjoins_english(pieces: list[_Piece], index: int) -> bool:
    """Whether this is ASCII punctuation and the nearest word on either side is English."""
    if pieces[index].kind != "other" or not pieces[index].text.isascii():
        return False
    neighbors = (pieces[max(index - 4, 0) : index][::-1], pieces[index + 1 : index + 5])
    words = ((piece.kind for piece in side if piece.kind not in ("space", "other")) for side in neighbors)
    return "english" in [next(side, "") for side in words]


def _join(pieces: list[_Piece]) -> str:
    """A marker where the language changes, single spaces between words, none beside Chinese."""
    text, language = "", None
    for index, piece in enumerate(pieces):
        if piece.kind == "space":
            neighbors = {neighbor.kind for neighbor in pieces[max(index - 1, 0) : index + 2]}
            text += " " if text and not text.endswith(" ") and not neighbors & {"han", "punctuation"} else ""
            continue
        if piece.language and language and piece.language != language:
            text = f"{text.rstrip()}<|{piece.language}|>"
        language = piece.language or language
        text += piece.text.lower() if piece.kind == "english" else piece.text
    return text.strip()


def _units(pieces: list[_Piece]) -> Iterator[str]:
    for piece in pieces:
        if piece.kind == "han":
            yield from _jieba().cut(piece.text)
        elif piece.kind == "english":
            yield piece.text.lower()
        elif piece.kind in ("number", "color", "quoted", "word") or is_content_char(piece.text[0]):
            yield piece.text


@cache
def _jieba() -> Any:
    """jieba's word segmenter, a `jieba.Tokenizer`."""
    with _import_lock, warnings.catch_warnings():  # two threads in catch_warnings could leave the filter behind
        warnings.simplefilter("ignore")  # invalid escape sequences in jieba's source
        import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer()


def words_with_tags(text: str) -> Iterator[tuple[str, str]]:
    """The words of a Chinese text and their parts of speech as jieba's dictionary tags them, "" for other words."""
    return ((word, _tags().get(word, "")) for word in _jieba().cut(text))


@cache
def _tags() -> dict[str, str]:
    with _jieba().get_dict_file() as lines:  # the words of a line: word, frequency, tag
        return {word: sys.intern(tag) for word, _, tag in (line.decode().split() for line in lines)}
