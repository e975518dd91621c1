"""The page: one file a region, put together by `run`. Nothing in this package imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock

import streamlit as st

from lychee_rerank.model.libraries import import_in_background
from lychee_rerank.reranker import Reranker
from lychee_rerank.ui import (
    chart,
    conditions_tab,
    export_panel,
    grid,
    history,
    inputs,
    mark_buttons,
    progress,
    prompt,
    sidebar,
)
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.state import AppState, LoadReranker
from lychee_rerank.weights.hub import is_http_url

_STYLE = Path(__file__).parent / "style.css"
_START = Lock()


def load_reranker(model: str, reserve_gib: float) -> Reranker:
    """The model on this machine, or the vLLM server where `model` is a URL. Imports torch for a model on this machine.

    Raises LycheeError.
    """
    if is_http_url(model):
        from lychee_rerank.vllm.reranker import connect

        return connect(model)
    return Reranker.from_pretrained(model, reserve_gib=reserve_gib)


@cache
def _app_state(load: LoadReranker) -> AppState:
    warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata in images that are read all the same
    return AppState(load)


def run(load: LoadReranker = load_reranker) -> None:
    """Draw the page once."""
    st.set_page_config(page_title=t("app_name"), page_icon="🍒", layout="wide")
    st.html(_STYLE)
    with _START:  # after a restart, all tabs come back at once
        state = _app_state(load)
    settings = sidebar.show(state)
    st.title(t("title"), anchor=False)
    st.caption(t("tagline"))
    inputs.show(state, settings)
    progress.show(state)
    _show_ranking(state)
    mark_buttons.listen_for_keys()
    if not is_http_url(settings.model):
        import_in_background()
    state.warm_up(settings)


def _show_ranking(state: AppState) -> None:
    """The selected ranking in tabs; only the open one is drawn."""
    job = history.selected_job(state)
    if job is None:
        return
    regions: dict[str, Callable[[], None]] = {
        "tab_grid": lambda: grid.show(state, job),
        "tab_conditions": lambda: conditions_tab.show(job),
        "tab_chart": lambda: chart.show(job),
        "tab_export": lambda: export_panel.show(state, job),
        "tab_history": lambda: history.show(state, job),
        "tab_prompt": lambda: prompt.show(job),
    }
    tabs = st.tabs([t(key) for key in regions], key="tabs", on_change="rerun")
    for tab, show_region in zip(tabs, regions.values(), strict=True):
        if tab.open:
            with tab:
                show_region()
