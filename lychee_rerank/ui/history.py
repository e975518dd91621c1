"""The rankings of this session: which one is shown, a list to go back to an earlier one, and a comparison of two."""

from __future__ import annotations

import time

import streamlit as st

from lychee_rerank.ui.i18n import Language, shorten, t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.state import AppState

_COMPARED_TOP = 6
_SELECTION = "selected-job"  # session key of (the selected job, the latest job when it was selected)


def selected_job(state: AppState, language: Language) -> RankingJob | None:
    """The ranking to draw: the latest, unless the person went back to an earlier one and has started none since."""
    selection: tuple[RankingJob | None, RankingJob | None] = st.session_state.get(_SELECTION, (None, None))
    selected, latest = selection
    if selected is None or selected not in state.jobs or latest is not state.job:
        return state.job
    note, back = st.columns([6, 1.4], vertical_alignment="center")
    with note:
        st.text(t(language, "looking_back", title=_title(selected, language)))
    if back.button(t(language, "to_newest"), key="to-newest", width="stretch"):
        _select(None, state)
    return selected


def show(state: AppState, job: RankingJob, language: Language) -> None:
    """One row for each ranking, latest first, and the comparison of `job` with another one."""
    for entry in reversed(state.jobs):
        _row(state, entry, entry is job, language)
    others = {other.started: other for other in reversed(state.jobs) if other is not job and other.status().ranking}
    if not others:
        st.caption(t(language, "compare_needs_two"))
        return
    chosen = st.selectbox(
        t(language, "compare"),
        list(others),
        index=None,
        placeholder=t(language, "nothing"),
        format_func=lambda started: _title(others[started], language),
        key="compare",
    )
    if chosen in others:
        _comparison(job, others[chosen], language)


def _row(state: AppState, job: RankingJob, is_shown: bool, language: Language) -> None:
    status = job.status()
    title, summary, button = st.columns([5, 3, 1.4], vertical_alignment="center")
    title.text(_title(job, language))
    best = next((result for result in status.ranking if result.problem is None), None)
    if best:
        name, score = shorten(best.name), f"{best.score:.1f}"
        summary.text(t(language, "history_line", done=status.done, score=score, name=name))
    if is_shown:
        button.caption(t(language, "looking_at_this"))
    elif button.button(t(language, "look_again"), key=f"look-{job.started}", width="stretch"):
        _select(job, state)


def _select(job: RankingJob | None, state: AppState) -> None:
    st.session_state[_SELECTION] = (job, state.job)
    st.session_state.pop("tabs", None)  # back to the images
    st.rerun()


def _comparison(job: RankingJob, other: RankingJob, language: Language) -> None:
    """The best images of both rankings, and the ranks of every image in both."""
    for column, ranking in zip(st.columns(2, gap="large"), (job, other), strict=True):
        with column:
            st.text(_title(ranking, language))
            scored = [result for result in ranking.status().ranking if result.problem is None]
            for cell, result in zip(st.columns(_COMPARED_TOP), scored, strict=False):
                if thumbnail := ranking.images[result.index].thumbnail:
                    cell.image(thumbnail, alt=result.name)
                cell.text(f"{result.rank} · {result.score:.1f}")
    st.dataframe(_rank_changes(job, other, language), hide_index=True)


def _rank_changes(job: RankingJob, other: RankingJob, language: Language) -> list[dict[str, object]]:
    other_results = {other.images[result.index].key: result for result in other.status().ranking}
    rows: list[dict[str, object]] = []
    for result in job.status().ranking:
        row: dict[str, object] = {t(language, "name"): result.name}
        other_result = other_results.get(job.images[result.index].key)
        for ranking, scored in ((job, result), (other, other_result)):
            title = _title(ranking, language)
            row[f"{t(language, 'rank')} · {title}"] = scored.rank if scored else None
            row[f"{t(language, 'score')} · {title}"] = round(scored.score, 1) if scored else None
        change = (other_result.rank or 0) - (result.rank or 0) if other_result else None
        rows.append({**row, t(language, "change"): change})
    return rows


def _title(job: RankingJob, language: Language) -> str:
    started = time.strftime("%H:%M:%S", time.localtime(job.started))
    return t(language, "history_title", time=started, query=shorten(job.query.text))
