"""Downloading the real weights: one button, its progress, and errors. Nothing is downloaded unless it is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.ui.i18n import Language, escape_markdown, format_duration, t
from lychee_rerank.ui.state import AppState

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Download, DownloadStatus, Hub, Progress

_REFRESH_S = 1.0
_HUBS: tuple[Hub, ...] = ("huggingface", "modelscope")


def show(state: AppState, language: Language) -> None:
    """The form, or the progress of the running download."""
    with st.expander(t(language, "weights"), key="weights", on_change="rerun") as expander:
        if expander.open:
            active = state.download is not None and state.download.status().active
            st.fragment(_show, run_every=_REFRESH_S if active else None)(state, language)


def _show(state: AppState, language: Language) -> None:
    if state.download is None:
        _form(state, language)
        return
    status = state.download.status()
    if not status.active and st.session_state.pop("download-active", False):
        st.rerun()
    st.session_state["download-active"] = status.active
    if status.active:
        _progress(state.download, status, language)
    elif status.state == "done":
        st.success(t(language, "weights_done"))
    else:
        if status.error:
            st.error(escape_markdown(str(status.error)))
        _form(state, language)


def _form(state: AppState, language: Language) -> None:
    st.caption(t(language, "weights_size"))
    hub: Hub = st.radio(
        t(language, "weights_from"), _HUBS, format_func=lambda name: t(language, f"hub_{name}"), key="weights-source"
    )
    mirror = st.text_input(t(language, "weights_mirror"), key="weights-mirror").strip()
    if st.button(t(language, "weights_start"), key="weights-start", width="stretch", icon=":material/download:"):
        from lychee_rerank.weights.download import Download

        state.download = Download(hub=hub, endpoint=mirror or None)
        st.rerun()


def _progress(download: Download, status: DownloadStatus, language: Language) -> None:
    progress = status.progress
    if progress is None or not progress.total_bytes:
        st.progress(0.0, text=t(language, "weights_asking"))
    else:
        checking = status.state == "checking"
        text = t(language, "weights_checking") if checking else _progress_text(progress, language)
        st.progress(min(1.0, progress.done_bytes / progress.total_bytes), text=text)
    if st.button(t(language, "stop"), key="weights-stop", width="stretch"):
        download.stop()


def _progress_text(progress: Progress, language: Language) -> str:
    done, total = format_bytes(progress.done_bytes), format_bytes(progress.total_bytes)
    parts = [t(language, "weights_done_of", done=done, total=total)]
    if progress.bytes_per_second is not None:
        parts.append(t(language, "weights_speed", size=format_bytes(int(progress.bytes_per_second))))
    if progress.seconds_left is not None:
        parts.append(t(language, "weights_left", time=format_duration(language, progress.seconds_left)))
    return t(language, "dot").join(parts)
