"""The page in Chinese and English: every sentence is in texts.toml, and is filled in here."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.errors import LycheeError, ModelChangedError, PictureProblem, QueryError
from lychee_rerank.images.paths import encodable
from lychee_rerank.results import ImageScore

Language = Literal["zh", "en"]
LANGUAGES: dict[Language, str] = {"zh": "中文", "en": "English"}  # each by its own name
_MAX_NAMES = 5  # file names listed in one sentence
_MAX_TITLE = 24  # characters

_DATA = tomllib.loads((Path(__file__).parent / "texts.toml").read_text(encoding="utf-8"))
_TEXTS: dict[str, tuple[str, str]] = _DATA["texts"]
_RULES_ZH: dict[str, str] = _DATA["rules"]


def page_language() -> Language:
    """The language chosen in the URL (?lang=zh or en), else Chinese where the browser is, else English."""
    for language in LANGUAGES:
        if st.query_params.get("lang") == language:
            return language
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"


def t(key: str, **facts: object) -> str:
    """The text `key` in the page's language, with its facts filled in; what cannot be encoded becomes a �."""
    # Not called in a `format_func`: Streamlit finds the selected option by the text of the run that drew it.
    chinese, english = _TEXTS[key]
    return encodable((chinese if page_language() == "zh" else english).format(**facts))


def rank_line(result: ImageScore) -> str:
    """Rank and score, with a dash for an image without a score."""
    return t("rank_score", rank=result.rank, score="–" if result.problem else f"{result.score:.1f}")


def rule_name(rule: str) -> str:
    """What a rule of the score parser is called."""
    return _RULES_ZH.get(rule, rule) if page_language() == "zh" else rule


def problem_text(problem: PictureProblem) -> str:
    """Why an image cannot be scored."""
    limit = problem.limit or 0
    limit_text = format_bytes(limit) if problem.code == "too_many_bytes" else f"{limit:,}"
    return t(f"problem_{problem.code}", detail=problem.detail, limit=limit_text)


def error_text(error: LycheeError) -> str:
    """An error in the person's language where there is a text for it, else in English."""
    if isinstance(error, ModelChangedError):
        return t("model_changed")
    return t(f"query_{error.code}") if isinstance(error, QueryError) else str(error)


def join_names(names: Sequence[str]) -> str:
    """The first few names in one line."""
    joined = t("comma").join(names[:_MAX_NAMES])
    return joined if len(names) <= _MAX_NAMES else t("and_more", names=joined)


def shorten(text: str, length: int = _MAX_TITLE) -> str:
    """At most `length` characters: 24 for titles."""
    return text if len(text) <= length else text[: length - 1] + "…"


def escape_markdown(text: str) -> str:
    """Text that may hold file names or a program's messages, with all of Markdown's special characters escaped."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]()<>#+-.!|~$:&" else char for char in text)


def format_duration(seconds: float) -> str:
    """A time span, in seconds below a minute, else in whole minutes."""
    if seconds < 60:
        return t("duration_seconds", seconds=seconds)
    return t("duration_minutes", minutes=seconds / 60)
