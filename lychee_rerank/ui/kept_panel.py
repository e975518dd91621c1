"""What is kept on this machine, where, and a button that deletes it."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.errors import StoreError
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.dropped import BUDGET
from lychee_rerank.ui.i18n import escape_markdown, t
from lychee_rerank.ui.state import AppState


def show(state: AppState) -> None:
    """A warning where nothing can be kept, and the panel."""
    if problem := state.archive.database.problem:
        st.warning(escape_markdown(t("kept_problem", problem=problem)))
    with st.expander(t("kept"), key="kept", on_change="rerun") as expander:
        if expander.open:
            _show(state)


def _show(state: AppState) -> None:
    archive = state.archive
    st.caption(t("kept_what", budget=format_bytes(BUDGET)))
    if archive.folder:
        st.caption(t("kept_where"))
        st.code(printable_name(str(archive.folder)), language=None, wrap_lines=True)
    st.caption(t("kept_size", size=format_bytes(archive.size()), scores=archive.store.count()))
    if st.button(t("kept_delete"), key="kept-delete", width="stretch"):
        st.dialog(t("kept_delete"))(_confirm)(state)


def _confirm(state: AppState) -> None:
    st.text(t("kept_delete_what"))
    if st.button(t("kept_delete_yes"), key="kept-delete-yes", type="primary"):
        try:
            state.delete_all()
        except StoreError as error:
            st.error(escape_markdown(str(error)))
        else:
            st.rerun()
