"""Downloads of a ranking: CSV, JSON, and in a ZIP the best images or those that are kept, named by rank."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from lychee_rerank.rankings.export import is_available, to_csv, to_json, to_zip
from lychee_rerank.rankings.marks import Mark, Marks
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import escape_markdown, join_names, t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.near_duplicates import fold
from lychee_rerank.ui.state import AppState

_MAX_CHECKED = 200  # images looked for at each run of the script, which may be on a slow drive


def show(state: AppState, job: RankingJob) -> None:
    """Three buttons; each file is made when its button is pressed, from the ranking and the marks at that moment."""
    if all(result.problem for result in job.status().ranking):
        st.caption(t("no_scores_yet"))
        return
    one_of_alike = bool(job.status().near_duplicates) and st.checkbox(t("one_of_alike"), key="one-of-alike")
    csv_column, json_column, zip_column = st.columns(3, gap="large")
    with csv_column:
        _button(t("csv"), lambda: _csv(state.marks, job, one_of_alike=one_of_alike), "ranking.csv")
        st.caption(t("csv_hint"))
    with json_column:
        _button(t("json"), lambda: _json(state.marks, job, one_of_alike=one_of_alike), "ranking.json")
        st.caption(t("json_hint"))
    with zip_column:
        _show_zip(state.marks, job, one_of_alike=one_of_alike)


def _show_zip(marks: Marks, job: RankingJob, *, one_of_alike: bool) -> None:
    button_row = st.container()  # in line with the other buttons, above the choice that it depends on
    st.caption(t("zip_hint"))
    choices = {"top": t("zip_top"), "kept": t("mark_kept")}
    choice = st.radio(
        t("zip_choice"),
        choices,
        format_func=lambda choice: choices[choice],
        horizontal=True,
        label_visibility="collapsed",
        key="zip-choice",
    )
    total = len(job.images)  # not of those with a score, which become more while this is shown
    top = None
    if choice == "top":
        top = int(st.number_input(t("zip_count"), 1, total, min(10, total), key="zip-count"))
    select = partial(_selected, marks, job, top, one_of_alike=one_of_alike)
    selected = select()
    with button_row:
        label = t("zip_kept" if top is None else "zip", count=len(selected))
        _button(label, lambda: _zip(job, select()), "ranking.zip", disabled=not selected)
    if missing := _missing(job, selected):
        st.warning(escape_markdown(t("zip_missing", count=len(missing), names=join_names(missing))))


def _selected(marks: Marks, job: RankingJob, top: int | None, *, one_of_alike: bool = False) -> list[ImageScore]:
    """The best `top` with a score, or those that are kept where it is None."""
    selected = [result for result in job.status().ranking if result.problem is None]
    if top is None:
        selected = [result for result in selected if marks.get(job.images[result.index].key) == "kept"]
    return _fold(job, selected, one_of_alike=one_of_alike)[:top]


def _fold(job: RankingJob, ranking: Sequence[ImageScore], *, one_of_alike: bool) -> list[ImageScore]:
    """All, or without those that are nearly the same as a better one; ranks stay."""
    return [alike[0] for alike in fold(ranking, job.status().near_duplicates if one_of_alike else ())]


def _button(label: str, content: Callable[[], bytes], file: str, *, disabled: bool = False) -> None:
    icon = ":material/download:"
    st.download_button(label, content, file, key=file, width="stretch", on_click="ignore", icon=icon, disabled=disabled)


def _missing(job: RankingJob, selected: Sequence[ImageScore]) -> list[str]:
    """The names of images that the ZIP would not hold, as far as that is looked up."""
    return [result.name for result in selected[:_MAX_CHECKED] if not is_available(job.images[result.index].source)]


def _csv(marks: Marks, job: RankingJob, *, one_of_alike: bool = False) -> bytes:
    ranking = _fold(job, job.status().ranking, one_of_alike=one_of_alike)
    conditions = job.conditions if any(result.conditions for result in ranking) else ()
    return to_csv(ranking, query=job.query.text, conditions=conditions, marks=_by_index(marks, job))


def _json(marks: Marks, job: RankingJob, *, one_of_alike: bool = False) -> bytes:
    ranking = _fold(job, job.status().ranking, one_of_alike=one_of_alike)
    return to_json(ranking, query=job.query, model=job.model, marks=_by_index(marks, job))


def _by_index(marks: Marks, job: RankingJob) -> dict[int, Mark]:
    return {index: mark for index, image in enumerate(job.images) if (mark := marks.get(image.key))}


def _zip(job: RankingJob, selected: Sequence[ImageScore]) -> bytes:
    archive = io.BytesIO()
    to_zip(selected, [image.source for image in job.images], len(selected), archive)
    return archive.getvalue()
