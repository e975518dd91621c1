"""The page: one file per region; `run` puts them together. Nothing here knows torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from lychee_rerank.ui import after, grid, inputs, progress, sidebar
from lychee_rerank.ui.desk import Desk
from lychee_rerank.ui.texts import text

_STYLE = Path(__file__).parent / "style.css"


def load_reranker(model: str, method: str, reserve_gib: float) -> Any:
    """Open the real model; torch is imported here, in the worker thread, and not before."""
    from lychee_rerank.engine import Reranker

    return Reranker.from_pretrained(model, method=method, reserve_gib=reserve_gib)  # type: ignore[arg-type]


@cache
def _desk(load: Callable[[str, str, float], Any]) -> Desk:
    return Desk(load)


def run(load: Callable[[str, str, float], Any] = load_reranker) -> None:
    """Draw the page once."""
    st.set_page_config(page_title="Lychee Rerank", page_icon="🍒", layout="wide")
    st.html(_STYLE)
    desk = _desk(load)
    language = sidebar.language()
    settings = sidebar.show(desk, language)
    st.title(text(language, "title"), anchor=False)
    st.caption(text(language, "tagline"))
    inputs.show(desk, settings, language)
    progress.show(desk, language)
    job = desk.job
    if job and not job.snapshot().active:
        after.show(desk, language)
    if job:
        grid.show(desk, language)
