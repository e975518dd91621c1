"""Downloads of a ranking: CSV, JSON, and the best images in a ZIP, named by rank."""

from __future__ import annotations

import io
from collections.abc import Callable

import streamlit as st

from lychee_rerank.rankings.export import to_csv, to_json, to_zip
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob


def show(job: RankingJob) -> None:
    """Three buttons; each file is made when its button is pressed, from the ranking at that moment."""
    scored = sum(result.problem is None for result in job.status().ranking)
    if not scored:
        st.caption(t("no_scores_yet"))
        return
    csv_column, json_column, zip_column = st.columns(3, gap="large")
    with csv_column:
        _button(t("csv"), lambda: to_csv(job.status().ranking, query=job.query.text), "ranking.csv")
        st.caption(t("csv_hint"))
    with json_column:
        _button(t("json"), lambda: to_json(job.status().ranking, query=job.query, model=job.model), "ranking.json")
        st.caption(t("json_hint"))
    with zip_column:
        button_row = st.container()  # in line with the other buttons, above the number that it depends on
        st.caption(t("zip_hint"))
        total = len(job.images)  # not `scored`, which grows while this is shown
        top = min(scored, int(st.number_input(t("zip_count"), 1, total, min(10, total), key="zip-count")))
        with button_row:
            _button(t("zip", count=top), lambda: _zip(job, top), "ranking.zip")


def _button(label: str, content: Callable[[], bytes], file: str) -> None:
    st.download_button(label, content, file, key=file, width="stretch", on_click="ignore", icon=":material/download:")


def _zip(job: RankingJob, top: int) -> bytes:
    archive = io.BytesIO()
    to_zip(job.status().ranking, [image.source for image in job.images], top, archive)
    return archive.getvalue()
