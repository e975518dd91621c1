"""The last rankings: which one is shown, a list to go back to an earlier one, and a comparison of two."""

from __future__ import annotations

import time

import streamlit as st

from lychee_rerank.ui.i18n import shorten, t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.state import AppState

_COMPARED_TOP = 6
_SELECTION = "selected-job"  # session key of (the selected job, the latest job when it was selected)


def selected_job(state: AppState) -> RankingJob | None:
    """The ranking to draw: the latest, unless the person went back to an earlier one and has started none since."""
    selection: tuple[RankingJob | None, RankingJob | None] = st.session_state.get(_SELECTION, (None, None))
    selected, latest = selection
    if selected is None or selected not in state.jobs or latest is not state.job:
        return state.job
    note, back = st.columns([6, 1.4], vertical_alignment="center")
    with note:
        st.text(t("looking_back", title=_title(selected)))
    if back.button(t("to_newest"), key="to-newest", width="stretch"):
        _select(None, state)
    return selected


def show(state: AppState, job: RankingJob) -> None:
    """One row for each ranking, latest first, and the comparison of `job` with another one."""
    for entry in reversed(state.jobs):
        _row(state, entry, entry is job)
    others = {other.started: other for other in reversed(state.jobs) if other is not job and other.status().ranking}
    if not others:
        st.caption(t("compare_needs_two"))
        return
    titles = {started: _title(other) for started, other in others.items()}
    chosen = st.selectbox(
        t("compare"),
        titles,
        index=None,
        placeholder=t("nothing"),
        format_func=lambda started: titles[started],
        key="compare",
    )
    if chosen in others:
        _comparison(job, others[chosen])


def _row(state: AppState, job: RankingJob, is_shown: bool) -> None:
    status = job.status()
    title, summary, button = st.columns([5, 3, 1.4], vertical_alignment="center")
    title.text(_title(job))
    best = next((result for result in status.ranking if result.problem is None), None)
    if best:
        summary.text(t("history_line", done=status.done, score=f"{best.score:.1f}", name=shorten(best.name)))
    if is_shown:
        button.caption(t("looking_at_this"))
    elif button.button(t("look_again"), key=f"look-{job.started}", width="stretch"):
        _select(job, state)


def _select(job: RankingJob | None, state: AppState) -> None:
    st.session_state[_SELECTION] = (job, state.job)
    st.session_state.pop("tabs", None)  # back to the images
    st.rerun()


def _comparison(job: RankingJob, other: RankingJob) -> None:
    """The best images of both rankings, and the ranks of every image in both."""
    for column, ranking in zip(st.columns(2, gap="large"), (job, other), strict=True):
        with column:
            st.text(_title(ranking))
            scored = [result for result in ranking.status().ranking if result.problem is None]
            for cell, result in zip(st.columns(_COMPARED_TOP), scored, strict=False):
                if thumbnail := ranking.images[result.index].preview.thumbnail:
                    cell.image(thumbnail, alt=result.name)
                cell.text(f"{result.rank} · {result.score:.1f}")
    st.dataframe(_rank_changes(job, other), hide_index=True)


def _rank_changes(job: RankingJob, other: RankingJob) -> list[dict[str, object]]:
    other_results = {other.images[result.index].key: result for result in other.status().ranking}
    rows: list[dict[str, object]] = []
    for result in job.status().ranking:
        row: dict[str, object] = {t("name"): result.name}
        other_result = other_results.get(job.images[result.index].key)
        for ranking, scored in ((job, result), (other, other_result)):
            title = _title(ranking)
            row[f"{t('rank')} · {title}"] = scored.rank if scored else None
            row[f"{t('score')} · {title}"] = round(scored.score, 1) if scored else None
        change = (other_result.rank or 0) - (result.rank or 0) if other_result else None
        rows.append({**row, t("change"): change})
    return rows


def _title(job: RankingJob) -> str:
    started, now = time.localtime(job.started), time.localtime()
    is_today = started[:3] == now[:3]
    text = time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", started)
    return t("history_title", time=text, query=shorten(job.query.text))
