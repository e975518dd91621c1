"""How far the ranking is: a bar exact to the picture, and the latest events."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.rankings.job import JobStatus
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.state import Desk

_EVERY = 0.5  # seconds between looks at a running job
_EVENTS_SHOWN = 4


def show(desk: Desk, language: Language) -> None:
    """The bar, the events and Stop, looking again by themselves while the ranking runs."""
    job = desk.job
    if job:
        st.fragment(_show, run_every=_EVERY if job.status().active else None)(desk, language)


def _show(desk: Desk, language: Language) -> None:
    if not desk.job:
        return
    now = desk.job.status()
    if not now.active and st.session_state.pop("was-active", False):
        st.rerun()
    st.session_state["was-active"] = now.active
    if now.state == "failed" and now.error:
        st.error(texts.literal(text(language, "failed", reason=texts.reason(language, now.error))))
    with st.container(key="progress"):
        track, stop, events = st.columns([5, 1, 4], vertical_alignment="center", gap="medium")
        with track:
            st.html(f'<div class="asked">{escape(desk.job.query.text)}</div>')
            st.progress(now.done / now.total if now.total else 1.0, text=_words(now, language))
        if now.active and stop.button(text(language, "stop"), key="stop", width="stretch", disabled=now.stopping):
            desk.stop()
            st.rerun(scope="fragment")
        with events:
            _events(now, language)


def _words(now: JobStatus, language: Language) -> str:
    if now.active and now.stopping:
        return text(language, "stopping")
    if now.state == "loading":
        return text(language, "loading")
    if now.state == "explaining":
        return text(language, "explaining", done=now.explained, total=now.total)
    if now.state == "done":
        return text(language, "finished", total=now.total, time=texts.duration(language, now.seconds))
    if now.state in ("stopped", "failed"):
        return text(language, "stopped", done=now.done, total=now.total)
    left = "" if now.seconds_left is None else text(language, "left", time=texts.duration(language, now.seconds_left))
    return text(language, "progress", done=now.done, total=now.total) + left


def _events(now: JobStatus, language: Language) -> None:
    """Newest first; the lines keep their place when the ranking is done, so that nothing below them jumps."""
    lines = [line for result in reversed(now.latest) for line in _lines(result, language)][:_EVENTS_SHOWN]
    rows = "".join(f"<div>{escape(line)}</div>" for line in lines)
    st.html(f'<div class="events" role="log" aria-label="{text(language, "events")}">{rows}</div>')


def _lines(result: ImageScore, language: Language) -> list[str]:
    facts = {"place": result.index + 1, "name": result.name}
    if result.problem:
        return [text(language, "event_problem", reason=texts.problem(language, result.problem), **facts)]
    scored = text(language, "event", score=f"{result.score:.1f}", **facts)
    return [scored, *(text(language, "event_note", note=texts.note(language, code), **facts) for code in result.notes)]
