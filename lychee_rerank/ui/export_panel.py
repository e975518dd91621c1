"""Downloads of a ranking: CSV, JSON, and the best images in a ZIP, named by rank."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice

import streamlit as st

from lychee_rerank.rankings.export import is_available, to_csv, to_json, to_zip
from lychee_rerank.ui.i18n import escape_markdown, join_names, t
from lychee_rerank.ui.library import RankingJob

_MAX_CHECKED = 200  # images looked for at each run of the script, which may be on a slow drive


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
        if missing := _missing(job, top):
            st.warning(escape_markdown(t("zip_missing", count=len(missing), names=join_names(missing))))


def _button(label: str, content: Callable[[], bytes], file: str) -> None:
    st.download_button(label, content, file, key=file, width="stretch", on_click="ignore", icon=":material/download:")


def _missing(job: RankingJob, top: int) -> list[str]:
    """The names of images that the ZIP would not hold, as far as that is looked up."""
    scored = (result for result in job.status().ranking if result.problem is None)
    sources = ((result.name, job.images[result.index].source) for result in islice(scored, min(top, _MAX_CHECKED)))
    return [name for name, source in sources if not is_available(source)]


def _zip(job: RankingJob, top: int) -> bytes:
    archive = io.BytesIO()
    to_zip(job.status().ranking, [image.source for image in job.images], top, archive)
    return archive.getvalue()
