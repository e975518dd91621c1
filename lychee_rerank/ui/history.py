"""The rankings of this sitting: which one is looked at, one click to look at another, and two held side by side."""

from __future__ import annotations

import time

import streamlit as st

from lychee_rerank.rankings.job import Job
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item
from lychee_rerank.ui.state import Desk

_SIDE_BY_SIDE = 6
_LOOKED_AT = "looked-at"  # in the session: (the older ranking looked at, the newest one at that moment)


def looked_at(desk: Desk, language: Language) -> Job[Item] | None:
    """The ranking to draw: the newest, unless the person went back to an older one and has started nothing since."""
    chosen: tuple[Job[Item] | None, Job[Item] | None] = st.session_state.get(_LOOKED_AT, (None, None))
    older, newest = chosen
    if older is None or older not in desk.jobs or newest is not desk.job:
        return desk.job
    note, back = st.columns([6, 1.4], vertical_alignment="center")
    with note:
        st.text(text(language, "looking_back", title=_title(older)))
    if back.button(text(language, "to_newest"), key="to-newest", width="stretch"):
        _look_at(None, desk)
    return older


def show(desk: Desk, job: Job[Item], language: Language) -> None:
    """One line a ranking, newest first, and the comparison."""
    for other in reversed(desk.jobs):
        _line(desk, job, other, language)
    others = {other.started: other for other in reversed(desk.jobs) if other is not job and other.status().ranking}
    if not others:
        st.caption(text(language, "compare_needs_two"))
        return
    chosen = st.selectbox(
        text(language, "compare"),
        list(others),
        index=None,
        placeholder=text(language, "nothing"),
        format_func=lambda started: _title(others[started]),
        key="compare",
    )
    if chosen in others:
        _side_by_side(job, others[chosen], language)


def _line(desk: Desk, job: Job[Item], other: Job[Item], language: Language) -> None:
    now = other.status()
    title, found, button = st.columns([5, 3, 1.4], vertical_alignment="center")
    title.text(_title(other))
    best = next((result for result in now.ranking if result.problem is None), None)
    if best:
        found.text(text(language, "history_line", done=now.done, score=f"{best.score:.1f}", name=_short(best.name)))
    if other is job:
        button.caption(text(language, "looking_at_this"))
    elif button.button(text(language, "look_again"), key=f"look-{other.started}", width="stretch"):
        _look_at(other, desk)


def _look_at(job: Job[Item] | None, desk: Desk) -> None:
    st.session_state[_LOOKED_AT] = (job, desk.job)
    st.session_state.pop("tabs", None)  # back to the pictures
    st.rerun()


def _side_by_side(job: Job[Item], other: Job[Item], language: Language) -> None:
    """The best pictures of both, and every picture's place in both."""
    for column, ranked in zip(st.columns(2, gap="large"), (job, other), strict=True):
        with column:
            st.text(_title(ranked))
            best = [result for result in ranked.status().ranking if result.problem is None][:_SIDE_BY_SIDE]
            for place, result in zip(st.columns(_SIDE_BY_SIDE), best, strict=False):
                _small(place, ranked, result)
    st.dataframe(_moves(job, other, language), hide_index=True)


def _small(place: st.delta_generator.DeltaGenerator, job: Job[Item], result: ImageScore) -> None:
    thumbnail = job.images[result.index].thumbnail
    if thumbnail:
        place.image(thumbnail, alt=result.name)
    place.text(f"{result.rank} · {result.score:.1f}")


def _moves(job: Job[Item], other: Job[Item], language: Language) -> list[dict[str, object]]:
    places = {other.images[result.index].key: result for result in other.status().ranking}
    rows: list[dict[str, object]] = []
    for result in job.status().ranking:
        there = places.get(job.images[result.index].key)
        rows.append(
            {
                text(language, "name"): result.name,
                f"{text(language, 'rank')} · {_title(job)}": result.rank,
                f"{text(language, 'score')} · {_title(job)}": round(result.score, 1),
                f"{text(language, 'rank')} · {_title(other)}": there.rank if there else None,
                f"{text(language, 'score')} · {_title(other)}": round(there.score, 1) if there else None,
                text(language, "change"): (there.rank or 0) - (result.rank or 0) if there else None,
            }
        )
    return rows


def _title(job: Job[Item]) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(job.started))}　{_short(job.query.text)}"


def _short(words: str) -> str:
    return words if len(words) <= 24 else words[:23] + "…"
