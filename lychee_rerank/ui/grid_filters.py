"""The filters above the grid, in one row: name, score, rank and mark."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lychee_rerank.rankings.marks import Marks
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob

_MARKS = ("all", "kept", "none", "rejected")


def filtered(job: RankingJob, marks: Marks, ranking: Sequence[ImageScore]) -> list[ImageScore]:
    """Draw the filters; the results that pass them."""
    with st.container(key="filters"):
        name, score, top, mark = st.columns([3, 3, 2, 2], vertical_alignment="bottom", gap="medium")
        name_part = name.text_input(t("filter_name"), key="filter-name").strip().lower()
        min_score = score.slider(t("filter_score"), 0.0, 10.0, 0.0, 0.5, "%.1f", key="filter-score")
        top_n = top.number_input(t("filter_top"), 1, None, None, placeholder=t("mark_all"), key="filter-top")
        labels = {option: t(f"mark_{option}") for option in _MARKS}
        wanted = mark.selectbox(t("filter_mark"), _MARKS, format_func=lambda option: labels[option], key="filter-mark")
    return [
        result
        for result in ranking[: top_n and int(top_n)]
        if result.score >= min_score
        and name_part in result.name.lower()
        and wanted in ("all", marks.get(job.images[result.index].key) or "none")
    ]
