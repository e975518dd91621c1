"""The progress of the latest ranking: a bar exact to the image, and the latest events."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.rankings.job import JobStatus
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import Language, error_text, escape_markdown, format_duration, note_text, problem_text, t
from lychee_rerank.ui.state import AppState

_REFRESH_S = 0.5
_MAX_EVENTS = 4


def show(state: AppState, language: Language) -> None:
    """The bar, the events and Stop, refreshed while the ranking runs."""
    job = state.job
    if job:
        st.fragment(_show, run_every=_REFRESH_S if job.status().active else None)(state, language)


def _show(state: AppState, language: Language) -> None:
    if not state.job:
        return
    status = state.job.status()
    if not status.active and st.session_state.pop("job-active", False):
        st.rerun()
    st.session_state["job-active"] = status.active
    if status.state == "failed" and status.error:
        st.error(escape_markdown(t(language, "failed", reason=error_text(language, status.error))))
    with st.container(key="progress"):
        track, stop, events = st.columns([5, 1, 4], vertical_alignment="center", gap="medium")
        with track:
            st.html(f'<div class="query">{escape(state.job.query.text)}</div>')
            st.progress(status.done / status.total if status.total else 1.0, text=_summary(status, language))
        if status.active and stop.button(t(language, "stop"), key="stop", width="stretch", disabled=status.stopping):
            state.stop()
            st.rerun(scope="fragment")
        with events:
            _events(status, language)


def _summary(status: JobStatus, language: Language) -> str:
    if status.active and status.stopping:
        return t(language, "stopping")
    match status.state:
        case "loading":
            return t(language, "loading")
        case "explaining":
            return t(language, "explaining", done=status.explained, total=status.total)
        case "done":
            return t(language, "finished", total=status.total, time=format_duration(language, status.seconds))
        case "stopped" | "failed":
            return t(language, "stopped", done=status.done, total=status.total)
    scored = t(language, "progress", done=status.done, total=status.total)
    if status.seconds_left is None:
        return scored
    return scored + t(language, "left", time=format_duration(language, status.seconds_left))


def _events(status: JobStatus, language: Language) -> None:
    """Newest first; stays when the ranking is done, so that nothing below it moves."""
    lines = [line for result in reversed(status.latest) for line in _event_lines(result, language)][:_MAX_EVENTS]
    rows = "".join(f"<div>{escape(line)}</div>" for line in lines)
    st.html(f'<div class="events" role="log" aria-label="{t(language, "events")}">{rows}</div>')


def _event_lines(result: ImageScore, language: Language) -> list[str]:
    image = {"number": result.index + 1, "name": result.name}
    if result.problem:
        return [t(language, "event_note", note=problem_text(language, result.problem), **image)]
    scored = t(language, "event", score=f"{result.score:.1f}", **image)
    return [scored, *(t(language, "event_note", note=note_text(language, code), **image) for code in result.notes)]
