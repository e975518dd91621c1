"""The conditions of a query as a table: a row for each image, a column for each condition."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from lychee_rerank.rankings.archive import LibraryImage
from lychee_rerank.rankings.job import CONDITIONS_TOP
from lychee_rerank.rankings.job_status import JobStatus
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import escape_markdown, t
from lychee_rerank.ui.library import RankingJob

if TYPE_CHECKING:
    from streamlit.elements.lib.column_types import ColumnConfig

_REFRESH_S = 2.0
_ROW_HEIGHT = 48  # pixels
_MAX_ROWS = 48  # with more, the table scrolls
_THUMBNAIL_EDGE = 128  # pixels
_MAX_LABEL, _LONG_WIDTH = 14, 130  # characters, pixels
_MAX_THUMBNAILS = 500
_MAX_ALPHA = 0.62  # of the green behind 10.0: text keeps a contrast of 5 on it in both themes


def show(job: RankingJob) -> None:
    """The table, or why there is none; refreshed while conditions are scored."""
    st.fragment(_show, run_every=_REFRESH_S if job.status().state == "conditions" else None)(job)


def _show(job: RankingJob) -> None:
    status = job.status()
    if len(job.conditions) < 2:
        st.caption(t(_reason_for_none(job, status)))
        return
    if rated := [result for result in status.ranking if result.conditions]:
        _table(job, rated)
    _more(job, status)


def _reason_for_none(job: RankingJob, status: JobStatus) -> str:
    if job.conditions:
        return "conditions_one"
    return "conditions_later" if status.active else "conditions_unknown"


def _table(job: RankingJob, rated: Sequence[ImageScore]) -> None:
    """Sorted by rank at first; a click on the head of a column sorts by it."""
    import pandas

    labels = {"score": t("score")} | {str(position): text for position, text in enumerate(job.conditions)}
    frame = pandas.DataFrame([_row(job, result) for result in rated]).astype(dict.fromkeys(labels, float))
    st.dataframe(
        frame.style.map(_background, subset=list(labels)),
        hide_index=True,
        row_height=_ROW_HEIGHT,
        height="content" if len(rated) <= _MAX_ROWS else _MAX_ROWS * _ROW_HEIGHT,
        placeholder="–",
        column_config={
            "rank": st.column_config.NumberColumn(t("rank"), width=60, pinned=True),
            "image": st.column_config.ImageColumn(t("image"), width=76, pinned=True),
            "name": t("name"),
            **{key: _column(label) for key, label in labels.items()},
        },
        key="conditions-table",
        alt=t("conditions_alt", count=len(rated)),
    )


def _column(label: str) -> ColumnConfig:
    """A long label is cut, and whole where the mouse points at it."""
    is_long = len(label) > _MAX_LABEL
    width, whole = (_LONG_WIDTH, escape_markdown(label)) if is_long else (None, None)
    return st.column_config.NumberColumn(label, format="%.1f", width=width, help=whole)


def _row(job: RankingJob, result: ImageScore) -> dict[str, object]:
    """The conditions by position: None where one is still to come or has no score."""
    image = job.images[result.index]
    row: dict[str, object] = dict.fromkeys(map(str, range(len(job.conditions))))
    row |= {str(n): score.score for n, score in enumerate(result.conditions) if score.problem is None}
    return {"rank": result.rank, "image": _data_url(image), "name": result.name, "score": result.score, **row}


@st.cache_data(hash_funcs={LibraryImage: lambda image: image.key}, max_entries=_MAX_THUMBNAILS, show_spinner=False)
def _data_url(image: LibraryImage) -> str | None:
    """The thumbnail in a form that cells of a table take."""
    if not (thumbnail := image.preview.thumbnail):
        return None
    with Image.open(io.BytesIO(thumbnail)) as small, io.BytesIO() as file:
        small.thumbnail((_THUMBNAIL_EDGE, _THUMBNAIL_EDGE))
        small.save(file, "JPEG")
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _background(score: float) -> str:
    """The greener the better; NaN stays plain."""
    return f"background-color:rgba(76,175,80,{score / 10 * _MAX_ALPHA:.2f})" if score == score else ""


def _more(job: RankingJob, status: JobStatus) -> None:
    """What can be done for images whose conditions have not been scored."""
    complete = len(job.conditions)
    rest = [result for result in status.ranking if result.problem is None and len(result.conditions) < complete]
    if not rest or status.state == "conditions":
        return
    if not job.can_score_conditions:
        st.caption(t("conditions_rest", count=len(rest)))
        return
    indices = [result.index for result in rest[:CONDITIONS_TOP]]
    label = "conditions_first" if rest[0].rank == 1 else "conditions_next"
    st.caption(t("conditions_left", count=len(rest)))
    if st.button(t(label, count=len(indices)), key="conditions-more"):
        job.request_conditions(indices)
        st.rerun()
