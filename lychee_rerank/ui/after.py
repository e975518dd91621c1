"""What a finished ranking is good for: the scores as a chart, files to take away, and other rankings to hold it
against.
"""

from __future__ import annotations

import io
import time

import streamlit as st

from lychee_rerank.export import to_csv, to_json, to_zip
from lychee_rerank.jobs import Job
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.desk import Desk
from lychee_rerank.ui.texts import Language, text


def show(desk: Desk, language: Language) -> None:
    """Chart, exports, history and comparison of the last ranking, and the prompt behind it."""
    job = desk.job
    ranking = list(job.snapshot().ranking) if job else []
    if job is None or not ranking:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _chart(ranking, language)
    with right:
        _exports(job, ranking, language)
        _history(desk, job, language)
    _read_as(desk, job, language)


def _chart(ranking: list[ImageScore], language: Language) -> None:
    """Every score as a bar in the order of the ranking: the steps between them are what people decide by."""
    import altair

    rows = [
        {"rank": result.rank, "score": round(result.score, 3), "name": result.name}
        for result in ranking
        if result.problem is None
    ]
    st.subheader(text(language, "chart"), anchor=False)
    bars = (
        altair.Chart(altair.InlineData(values=rows))
        .mark_bar(color="#4CAF50")
        .encode(
            x=altair.X("rank:O", title=text(language, "rank"), axis=altair.Axis(labelAngle=0, labelOverlap=True)),
            y=altair.Y("score:Q", title=text(language, "score"), scale=altair.Scale(domain=[0, 10])),
            tooltip=[altair.Tooltip("name:N", title=text(language, "name")), altair.Tooltip("score:Q", format=".2f")],
        )
        .properties(height=220)
    )
    st.altair_chart(bars, width="stretch", alt=text(language, "chart"))


def _exports(job: Job, ranking: list[ImageScore], language: Language) -> None:
    st.subheader(text(language, "export"), anchor=False)
    csv, json = st.columns(2)
    csv.download_button(
        text(language, "csv"),
        to_csv(ranking, query=job.query.text),
        "ranking.csv",
        "text/csv",
        key="csv",
        width="stretch",
    )
    json.download_button(
        text(language, "json"), _as_json(job, ranking), "ranking.json", "application/json", key="json", width="stretch"
    )
    scored = [result for result in ranking if result.problem is None]
    if not scored:
        return
    count, button = st.columns([1, 2], vertical_alignment="bottom")
    best = int(count.number_input(text(language, "zip_count"), 1, len(scored), min(10, len(scored)), key="zip-count"))
    button.download_button(
        text(language, "zip", count=best),
        lambda: _packed(job, ranking, best),
        "ranking.zip",
        "application/zip",
        key="zip",
        width="stretch",
    )


def _as_json(job: Job, ranking: list[ImageScore]) -> bytes:
    return to_json(ranking, query=job.query.text, normalized=job.query.normalized)


def _packed(job: Job, ranking: list[ImageScore], best: int) -> bytes:
    packed = io.BytesIO()
    to_zip(ranking, [picture.source for picture in job.pictures], best, packed)
    return packed.getvalue()


def _history(desk: Desk, job: Job, language: Language) -> None:
    others = [other for other in reversed(desk.jobs) if other is not job and other.snapshot().ranking]
    if not others:
        return
    choice = st.selectbox(
        f"{text(language, 'history')} · {text(language, 'compare')}",
        [None, *others],
        format_func=lambda other: text(language, "nothing") if other is None else _title(other),
        key="compare",
    )
    if choice is not None:
        _side_by_side(job, choice, language)


def _side_by_side(job: Job, other: Job, language: Language) -> None:
    ranks = {other.pictures[result.index].key: result for result in other.snapshot().ranking}
    rows = []
    for result in job.snapshot().ranking:
        before = ranks.get(job.pictures[result.index].key)
        moved = (before.rank or 0) - (result.rank or 0) if before else None
        rows.append(
            {
                text(language, "name"): result.name,
                f"{text(language, 'rank')} · {_title(job)}": result.rank,
                f"{text(language, 'score')} · {_title(job)}": round(result.score, 1),
                f"{text(language, 'rank')} · {_title(other)}": before.rank if before else None,
                f"{text(language, 'score')} · {_title(other)}": round(before.score, 1) if before else None,
                text(language, "change"): moved,
            }
        )
    st.dataframe(rows, hide_index=True)


def _title(job: Job) -> str:
    shown = job.query.text if len(job.query.text) <= 24 else job.query.text[:23] + "…"
    return f"{time.strftime('%H:%M:%S', time.localtime(job.started))} {shown}"


def _read_as(desk: Desk, job: Job, language: Language) -> None:
    with st.expander(text(language, "read_as"), key="read-as"):
        st.caption(text(language, "read_query"))
        st.code(job.query.normalized, language=None, wrap_lines=True)
        st.caption(text(language, "read_units"))
        st.code(" | ".join(job.query.units), language=None, wrap_lines=True)
        if desk.reranker is not None:
            st.caption(text(language, "read_prompt"))
            st.code(desk.reranker.prompt_text(job.query), language=None, wrap_lines=True)
