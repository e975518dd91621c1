"""The query as the model read it, and the whole prompt."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob


def show(job: RankingJob) -> None:
    """The query as typed, normalized and in units, and the prompt it stands in."""
    query = job.query
    texts = {"typed": query.text, "query": query.normalized, "units": " | ".join(query.units), "prompt": job.prompt}
    for key, text in texts.items():
        if text:
            st.caption(t(f"read_{key}"))
            st.code(text, language=None, wrap_lines=True)
