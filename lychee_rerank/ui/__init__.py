"""The page: one file per region; `run` puts them together. Nothing here knows torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from lychee_rerank.ui import chart, grid, history, inputs, progress, prompt, sidebar
from lychee_rerank.ui import export_panel as downloads
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.state import Desk, is_address

_STYLE = Path(__file__).parent / "style.css"


def load_reranker(model: str, reserve_gib: float) -> Any:
    """The model on this machine, or the server where `model` is an address; torch is imported here and not before."""
    if is_address(model):
        from lychee_rerank.vllm.reranker import connect

        return connect(model)
    from lychee_rerank.reranker import Reranker

    return Reranker.from_pretrained(model, reserve_gib=reserve_gib)


@cache
def _desk(load: Callable[[str, float], Any]) -> Desk:
    return Desk(load)


def run(load: Callable[[str, float], Any] = load_reranker) -> None:
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
    _ranking(desk, language)
    desk.look_ahead(settings)


def _ranking(desk: Desk, language: Language) -> None:
    """The ranking that is looked at, behind five tabs; only the open one is drawn."""
    job = history.looked_at(desk, language)
    if job is None:
        return
    regions: dict[str, Callable[[], None]] = {
        "tab_grid": lambda: grid.show(job, language),
        "tab_chart": lambda: chart.show(job, language),
        "tab_export": lambda: downloads.show(job, language),
        "tab_history": lambda: history.show(desk, job, language),
        "tab_prompt": lambda: prompt.show(job, language),
    }
    tabs = st.tabs([text(language, name) for name in regions], key="tabs", on_change="rerun")
    for tab, draw in zip(tabs, regions.values(), strict=True):
        if tab.open:
            with tab:
                draw()
