"""The query as the model read it, and the whole prompt."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.rankings.job import Job
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item


def show(job: Job[Item], language: Language) -> None:
    """What was typed, what it became, and where it stands in the prompt."""
    _said(text(language, "read_typed"), job.query.text)
    _said(text(language, "read_query"), job.query.normalized)
    _said(text(language, "read_units"), " | ".join(job.query.units))
    if job.prompt:
        _said(text(language, "read_prompt"), job.prompt)


def _said(title: str, words: str) -> None:
    st.caption(title)
    st.code(words, language=None, wrap_lines=True)
