"""The query box, the start button, and example queries to click while the samples are loaded."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lychee_rerank.errors import QueryError
from lychee_rerank.ui.i18n import error_text, t
from lychee_rerank.ui.library import Library
from lychee_rerank.ui.state import AppState, Settings

SAMPLES = Path(__file__).parent.parent / "demo" / "samples"
EXAMPLES = {
    "example_cat": "cat.jpg",
    "example_rose": "rose.jpg",
    "example_basketball": "basketball.jpg",
    "example_snowman": "snowman-in-the-snow.jpg",
}  # the text of each query and the sample that it describes


def show(state: AppState, settings: Settings) -> str:
    """Box, examples and button, and the start of a ranking where one is asked for; returns why none starts, else ""."""
    # Only a form tells Enter from leaving the box. Its button stands below the images by style.css.
    form = st.form("query-form", border=False, enter_to_submit=True)
    with st.container(key="examples", horizontal=True, vertical_alignment="center", gap="xsmall"):
        example = _examples(state.library)
    if example:
        st.session_state["query"] = example
    st.session_state.setdefault("query", state.job.query.text if state.job else "")
    query = form.text_input(t("query"), placeholder=t("query_hint"), key="query")
    submitted = form.form_submit_button(t("start"), key="start", type="primary", width="stretch")
    return _start(state, query, settings) if submitted or example else ""


def _examples(library: Library) -> str:
    """Buttons where all samples of the examples are loaded, else how to start; returns the query that was clicked."""
    sources = {image.source for image in library.images() if isinstance(image.source, Path)}
    if not sources.issuperset(SAMPLES / file for file in EXAMPLES.values()):
        st.caption(t("start_hint"))
        return ""
    st.caption(t("examples"), width="content")
    clicked = [t(key) for key in EXAMPLES if st.button(t(key), key=key)]
    return clicked[0] if clicked else ""


def _start(state: AppState, query: str, settings: Settings) -> str:
    if not state.library.images():
        return t("still_reading" if state.library.waiting else "no_pictures")
    try:
        state.start(query, settings)
    except QueryError as error:
        return error_text(error)
    return ""
