"""The progress of the latest ranking: a bar exact to the image, and the latest events."""

from __future__ import annotations

from html import escape
from itertools import islice

import streamlit as st

from lychee_rerank.rankings.job_status import JobState, JobStatus
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import error_text, escape_markdown, format_duration, problem_text, t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.state import AppState

_REFRESH_S = 0.5
_MAX_EVENTS = 4


def show(state: AppState) -> None:
    """The bar, the events and Stop, refreshed while the ranking runs."""
    if job := state.job:
        status = job.status()
        st.fragment(_show, run_every=_REFRESH_S if status.active else None)(job, drawn=status.state)


def _show(job: RankingJob, drawn: JobState) -> None:
    """drawn: the job's state when the whole page was last drawn, which is repeated when scoring or other work ends."""
    status = job.status()
    if status.state not in ("loading", "scoring", drawn):
        st.rerun()
    if status.error:
        text = "failed" if status.state == "failed" else "conditions_failed"
        st.error(t(text, reason=escape_markdown(error_text(status.error))))
    with st.container(key="progress"):
        track, stop, events = st.columns([5, 1, 4], vertical_alignment="center", gap="medium")
        with track:
            st.html(f'<div class="query">{escape(job.query.text)}</div>')
            st.progress(status.done / status.total if status.total else 1.0, text=_summary(status))
        if status.active and stop.button(t("stop"), key="stop", width="stretch", disabled=status.stopping):
            job.stop()
            st.rerun(scope="fragment")
        with events:
            _events(status)


def _summary(status: JobStatus) -> str:
    if status.active and status.stopping:
        return t("stopping" if status.state in ("loading", "scoring") else "stopping_rest")
    match status.state:
        case "loading":
            return t("loading")
        case "conditions":
            return t("scoring_conditions", done=status.condition_scores, total=status.condition_scores_total)
        case "explaining":
            return t("explaining", done=status.explained, total=status.total)
        case "done":
            return t("finished", total=status.total, time=format_duration(status.seconds))
        case "stopped" | "failed":
            return t("stopped", done=status.done, total=status.total)
    scored = t("progress", done=status.done, total=status.total)
    if status.seconds_left is None:
        return scored
    return scored + t("left", time=format_duration(status.seconds_left))


def _events(status: JobStatus) -> None:
    """Newest first; stays when the ranking is done, so that nothing below it moves."""
    events = ((line, result.name) for result in reversed(status.latest) for line in _event_lines(result))
    rows = "".join(f"<div>{_isolate(line, name)}</div>" for line, name in islice(events, _MAX_EVENTS))
    st.html(f'<div class="events" role="log" aria-label="{t("events")}">{rows}</div>')


def _isolate(line: str, name: str) -> str:
    """HTML in which a name that turns the direction of writing turns nothing else."""
    return escape(line).replace(escape(name), f"<bdi>{escape(name)}</bdi>", 1)


def _event_lines(result: ImageScore) -> list[str]:
    image = {"number": result.index + 1, "name": result.name}
    if result.problem:
        return [t("event_note", note=problem_text(result.problem), **image)]
    scored = t("event", score=f"{result.score:.1f}", **image)
    return [scored, *(t("event_note", note=t(f"note_{code}"), **image) for code in result.notes)]
