"""What the person typed -> Query: as typed, and as the model reads it. Pure text; jieba is imported when first needed.

Normalising evens out how people type, so that the same wish gets the same scores: full-width letters and digits become
plain, English is lower-cased and loses the punctuation around its words, Chinese is cut into meaning units and joined
again without spaces (Qwen's vocabulary breaks a Chinese word behind a space into byte pieces), and a marker stands
where the language changes. Quoted text, numbers, hex colours and compounds such as `black_cat` stay as they are.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lychee_rerank.errors import QueryError

if TYPE_CHECKING:
    from jieba import Tokenizer

MAX_CHARACTERS = 2000  # the model was trained on at most 3,200 tokens, picture and prompt included

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_CHINESE_MARKS = "，。、；：？！（）《》〈〉「」『』【】“”‘’…—～·"
_PIECES = re.compile(
    rf"""
    (?P<quoted>"[^"]*"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|《[^》]*》)
    | (?P<colour>\#(?:[0-9A-Fa-f]{{8}}|[0-9A-Fa-f]{{6}}|[0-9A-Fa-f]{{3,4}})(?![0-9A-Za-z]))
    | (?P<han>[{_HAN}]+)
    | (?P<number>[-+]?\d[\d.,:/×x]*(?<=\d)%?(?![{_LATIN}]))
    | (?P<english>[{_LATIN}0-9]+(?:[-_'’.&+/][{_LATIN}0-9]+)*\+*)
    | (?P<word>[^\W\d_]+)
    | (?P<space>\s+)
    | (?P<mark>[{_CHINESE_MARKS}])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Query:
    """A query as typed (`text`) and as the model reads it (`normalized`).

    `units` are its meaning units in order (Chinese words as jieba cuts them, English words, numbers, quoted text);
    `languages` the languages found, in order of appearance: "zh", "en", both or neither.
    """

    text: str
    normalized: str
    units: tuple[str, ...]
    languages: tuple[str, ...]

    @property
    def language(self) -> str:
        """The language to ask the model in: "zh" where there is any Chinese, else "en"."""
        return "zh" if "zh" in self.languages else "en"


@dataclass(frozen=True)
class _Piece:
    kind: str  # a group of _PIECES
    text: str

    @property
    def language(self) -> str | None:
        return {"han": "zh", "english": "en"}.get(self.kind)


def normalize_query(text: str) -> Query:
    """The query as the model should read it. Raises QueryError where there is nothing to look for, or too much."""
    pieces = _pieces(_checked(text))
    return Query(text, _joined(pieces), tuple(_units(pieces)), _languages(pieces))


def raw_query(text: str) -> Query:
    """The query exactly as typed (normalising switched off). Raises QueryError as `normalize_query` does."""
    pieces = _pieces(_checked(text))
    return Query(text, _printable(text).strip(), tuple(_units(pieces)), _languages(pieces))


def _checked(text: str) -> str:
    plain = _compatible(_printable(text)).strip()
    if len(plain) > MAX_CHARACTERS:
        raise QueryError("too_long", f"The query has {len(plain)} characters; at most {MAX_CHARACTERS} can be read.")
    if not plain:
        raise QueryError("empty", "The query is empty: type what the pictures should show.")
    if not any(_says_something(character) for character in plain):
        raise QueryError("punctuation_only", "The query holds only punctuation: type what the pictures should show.")
    return plain


def _says_something(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN" or unicodedata.category(character) == "So"


def _printable(text: str) -> str:
    """Without control characters and halves of characters, which no keyboard types; line breaks become spaces."""
    kept = (" " if character.isspace() else character for character in text)
    return "".join(character for character in kept if unicodedata.category(character) not in ("Cc", "Cs", "Cn"))


def _compatible(text: str) -> str:
    """Unicode NFKC, but Chinese punctuation stays: it separates conditions, and its ASCII forms would not."""
    parts = re.split(f"([{_CHINESE_MARKS}]+)", text)
    return "".join(part if place % 2 else unicodedata.normalize("NFKC", part) for place, part in enumerate(parts))


def _pieces(text: str) -> list[_Piece]:
    found = [_Piece(str(match.lastgroup), match.group()) for match in _PIECES.finditer(text)]
    return [piece for place, piece in enumerate(found) if not _hugs_english(found, place)]


def _hugs_english(pieces: list[_Piece], place: int) -> bool:
    """Whether this is ASCII punctuation with an English word as its nearest neighbour on either side."""
    piece = pieces[place]
    if piece.kind != "other" or not piece.text.isascii():
        return False
    before = next((other.kind for other in reversed(pieces[:place][-4:]) if other.kind not in ("space", "other")), "")
    after = next((other.kind for other in pieces[place + 1 : place + 5] if other.kind not in ("space", "other")), "")
    return "english" in (before, after)


def _joined(pieces: list[_Piece]) -> str:
    """Runs joined again: a marker where the language changes, single spaces between words, none beside Chinese."""
    text, last = "", None
    for place, piece in enumerate(pieces):
        if piece.kind == "space":
            spaced = text and not text.endswith(" ") and _keeps_space(pieces, place)
            text += " " if spaced else ""
            continue
        if piece.language and last and piece.language != last:
            text = f"{text.rstrip()}<|{piece.language}|>"
        last = piece.language or last
        text += piece.text.lower() if piece.kind == "english" else piece.text
    return text.strip()


def _keeps_space(pieces: list[_Piece], place: int) -> bool:
    beside = {piece.kind for piece in pieces[max(place - 1, 0) : place + 2]}
    return not beside & {"han", "mark"}


def _units(pieces: list[_Piece]) -> Iterator[str]:
    for piece in pieces:
        if piece.kind == "han":
            yield from _cutter().cut(piece.text)
        elif piece.kind == "english":
            yield piece.text.lower()
        elif piece.kind in ("number", "colour", "quoted", "word") or _says_something(piece.text[0]):
            yield piece.text


def _languages(pieces: list[_Piece]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.language for piece in pieces if piece.language))


@cache
def _cutter() -> Tokenizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's own source holds old escape sequences
        import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer()
