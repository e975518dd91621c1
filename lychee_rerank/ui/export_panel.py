"""What of a ranking can be taken away: a table, data, and the best pictures named by rank."""

from __future__ import annotations

import io
from collections.abc import Callable

import streamlit as st

from lychee_rerank.rankings.export import to_csv, to_json, to_zip
from lychee_rerank.rankings.job import Job
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item


def show(job: Job[Item], language: Language) -> None:
    """Each file is made when it is asked for, from the ranking as it then stands."""
    scored = sum(result.problem is None for result in job.status().ranking)
    if not scored:
        st.caption(text(language, "no_scores_yet"))
        return
    table, data, packed = st.columns(3, gap="large")
    with table:
        _button(text(language, "csv"), lambda: _csv(job), "ranking.csv", "text/csv")
        st.caption(text(language, "csv_hint"))
    with data:
        _button(text(language, "json"), lambda: _json(job), "ranking.json", "application/json")
        st.caption(text(language, "json_hint"))
    with packed:
        above = st.container()  # the three buttons stand in one row, and this one's number is chosen below it
        st.caption(text(language, "zip_hint"))
        best = int(st.number_input(text(language, "zip_count"), 1, scored, min(10, scored), key="zip-count"))
        with above:
            _button(text(language, "zip", count=best), lambda: _zip(job, best), "ranking.zip", "application/zip")


def _button(label: str, content: Callable[[], bytes], file: str, mime: str) -> None:
    st.download_button(
        label, content, file, mime, key=file, width="stretch", on_click="ignore", icon=":material/download:"
    )


def _csv(job: Job[Item]) -> bytes:
    return to_csv(job.status().ranking, query=job.query.text)


def _json(job: Job[Item]) -> bytes:
    ranking, query = job.status().ranking, job.query
    return to_json(ranking, query=query.text, normalized=query.normalized, model=job.model)


def _zip(job: Job[Item], best: int) -> bytes:
    packed = io.BytesIO()
    to_zip(job.status().ranking, [item.source for item in job.images], best, packed)
    return packed.getvalue()
