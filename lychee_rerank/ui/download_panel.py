"""Downloading the real weights: one button, its progress, and errors. Nothing is downloaded unless it is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.ui.i18n import escape_markdown, format_duration, t
from lychee_rerank.ui.state import AppState

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Download, DownloadStatus, Hub, Progress

_REFRESH_S = 1.0


def show(state: AppState) -> None:
    """The form, or the progress of the running download."""
    with st.expander(t("weights"), key="weights", on_change="rerun") as expander:
        if expander.open:
            active = state.download is not None and state.download.status().active
            st.fragment(_show, run_every=_REFRESH_S if active else None)(state, was_active=active)


def _show(state: AppState, was_active: bool) -> None:
    if state.download is None:
        _form(state)
        return
    status = state.download.status()
    if was_active and not status.active:
        st.rerun()
    if status.active:
        _progress(state.download, status)
    elif status.state == "done":
        st.success(t("weights_done"))
    else:
        if status.error:
            st.error(escape_markdown(str(status.error)))
        _form(state)


def _form(state: AppState) -> None:
    st.caption(t("weights_size"))
    hubs: dict[Hub, str] = {"huggingface": t("hub_huggingface"), "modelscope": t("hub_modelscope")}
    hub = st.radio(t("weights_from"), hubs, format_func=lambda name: hubs[name], key="weights-source")
    mirror = st.text_input(t("weights_mirror"), key="weights-mirror").strip()
    if st.button(t("weights_start"), key="weights-start", width="stretch", icon=":material/download:"):
        from lychee_rerank.weights.download import Download

        state.download = Download(hub=hub, endpoint=mirror or None)
        st.rerun()


def _progress(download: Download, status: DownloadStatus) -> None:
    progress = status.progress
    if progress is None or not progress.total_bytes:
        st.progress(0.0, text=t("weights_asking"))
    else:
        checking = status.state == "checking"
        text = t("weights_checking") if checking else _progress_text(progress)
        st.progress(min(1.0, progress.done_bytes / progress.total_bytes), text=text)
    if st.button(t("stop"), key="weights-stop", width="stretch"):
        download.stop()


def _progress_text(progress: Progress) -> str:
    done, total = format_bytes(progress.done_bytes), format_bytes(progress.total_bytes)
    parts = [t("weights_done_of", done=done, total=total)]
    if progress.bytes_per_second is not None:
        parts.append(t("weights_speed", size=format_bytes(int(progress.bytes_per_second))))
    if progress.seconds_left is not None:
        parts.append(t("weights_left", time=format_duration(progress.seconds_left)))
    return t("dot").join(parts)
