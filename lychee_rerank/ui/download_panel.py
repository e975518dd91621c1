"""Getting the real weights: one button, its progress, and what went wrong. Nothing is fetched unless it is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import streamlit as st

from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, literal, text
from lychee_rerank.ui.state import Desk

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Download, DownloadStatus, Progress

_EVERY = 1.0  # seconds between looks at a running download


def show(desk: Desk, language: Language) -> None:
    """The form, or how far the download is."""
    with st.expander(text(language, "weights"), key="weights", on_change="rerun") as opened:
        if opened.open:
            active = desk.download is not None and desk.download.status().active
            st.fragment(_show, run_every=_EVERY if active else None)(desk, language)


def _show(desk: Desk, language: Language) -> None:
    if desk.download is None:
        _form(desk, language)
        return
    now = desk.download.status()
    if not now.active and st.session_state.pop("was-fetching", False):
        st.rerun()
    st.session_state["was-fetching"] = now.active
    if now.active:
        _running(desk.download, now, language)
    elif now.state == "done":
        st.success(text(language, "weights_done"))
    else:
        if now.error:
            st.error(literal(str(now.error)))
        _form(desk, language)


def _form(desk: Desk, language: Language) -> None:
    st.caption(text(language, "weights_size"))
    source: Literal["huggingface", "modelscope"] = st.radio(
        text(language, "weights_from"),
        ("huggingface", "modelscope"),
        format_func=lambda name: {"huggingface": "Hugging Face", "modelscope": "ModelScope"}[name],
        key="weights-source",
    )
    mirror = st.text_input(text(language, "weights_mirror"), key="weights-mirror").strip()
    if st.button(text(language, "weights_start"), key="weights-start", width="stretch", icon=":material/download:"):
        from lychee_rerank.weights.download import Download

        desk.download = Download(source=source, endpoint=mirror or None)
        st.rerun()


def _running(download: Download, now: DownloadStatus, language: Language) -> None:
    done = now.progress
    if done is None or not done.total_bytes:
        st.progress(0.0, text=text(language, "weights_asking"))
    else:
        words = text(language, "weights_checking") if now.state == "checking" else _words(done, language)
        st.progress(min(1.0, done.done_bytes / done.total_bytes), text=words)
    if st.button(text(language, "stop"), key="weights-stop", width="stretch"):
        download.stop()


def _words(done: Progress, language: Language) -> str:
    parts = [f"{texts.size(done.done_bytes)} / {texts.size(done.total_bytes)}"]
    if done.bytes_per_second is not None:
        parts.append(f"{texts.size(int(done.bytes_per_second))}/s")
    if done.seconds_left is not None:
        parts.append(text(language, "weights_left", time=texts.duration(language, done.seconds_left)))
    return " · ".join(parts)
