"""The ranked images in three columns, with filters and pages; updates and re-orders itself while scores arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lychee_rerank.results import ImageScore
from lychee_rerank.ui import answer_panel, image_dialog
from lychee_rerank.ui.i18n import rank_line, t
from lychee_rerank.ui.library import RankingJob

COLUMNS = 3
WIDTH = 300  # pixels
_PAGE_SIZE = 24
_REFRESH_S = 2.0  # each drawing takes the scoring thread 20 ms, and the browser half a core on the same machine
_GOOD, _FAIR = 8.0, 6.0

T = TypeVar("T")


def show(job: RankingJob) -> None:
    """Filters, then the cards."""
    st.fragment(_show, run_every=_REFRESH_S if job.status().active else None)(job)


def score_class(score: float) -> str:
    """The CSS class of a score: "good" (green) above 8, "fair" (blue) from 6, "low" (grey) below."""
    return "good" if score > _GOOD else "fair" if score >= _FAIR else "low"


def cells(items: Sequence[T], total: int, columns: int, page_size: int, key: str) -> Iterator[tuple[DeltaGenerator, T]]:
    """The items of the page that is open, each with its column; `key` is the pagination's, drawn where there may be
    two pages in the end, with `total` items, so that it moves nothing when the second page comes.
    """
    pages = max(1, -(-len(items) // page_size))
    page = min(st.pagination(pages, key=key), pages) if total > page_size else 1
    visible = items[(page - 1) * page_size : page * page_size]
    for start in range(0, len(visible), columns):
        yield from zip(st.columns(columns), visible[start : start + columns], strict=False)


def _show(job: RankingJob) -> None:
    ranking = job.status().ranking
    filtered = _filter(job, ranking)
    if not filtered:
        st.caption(t("nothing_left" if ranking else "no_scores_yet"))
        return
    _highlight_top(job, ranking[0])
    for column, result in cells(filtered, len(job.images), COLUMNS, _PAGE_SIZE, "grid-page"):
        with column:
            _card(job, result)


def _filter(job: RankingJob, ranking: Sequence[ImageScore]) -> Sequence[ImageScore]:
    if len(job.images) <= COLUMNS:
        return ranking
    with st.container(key="filters"):
        name, score, top = st.columns([3, 3, 2], vertical_alignment="bottom", gap="medium")
        name_part = name.text_input(t("filter_name"), key="filter-name").strip().lower()
        min_score = score.slider(t("filter_score"), 0.0, 10.0, 0.0, 0.5, "%.1f", key="filter-score")
        top_n = int(top.number_input(t("filter_top"), 0, None, 0, key="filter-top")) or None
    return [result for result in ranking[:top_n] if result.score >= min_score and name_part in result.name.lower()]


def _card(job: RankingJob, result: ImageScore) -> None:
    image = job.images[result.index]
    with st.container(key=f"card-{image.key}"):
        if thumbnail := image.preview.thumbnail:
            with st.container(key=f"image-{image.key}", width=WIDTH):
                # Stretched, not given a width: Streamlit would shrink it each time a running job is drawn.
                st.image(thumbnail, width="stretch", alt=result.name)
                if st.button(t("large"), key=f"large-{image.key}"):  # covers the whole image, see style.css
                    image_dialog.show(image, result)
        else:
            st.html('<div class="no-image"></div>')
        name = escape(result.name)
        st.html(
            f'<div class="rank {score_class(result.score)}">{rank_line(result)}</div>'
            f'<div class="name" title="{name}"><bdi>{name}</bdi></div>'
        )
        answer_panel.show(job, result)


def _highlight_top(job: RankingJob, top: ImageScore) -> None:
    """The border of the first card, by a style rule of its own: cards stay as they are when another takes the lead."""
    if top.problem is None:
        st.html(
            f"<style>.st-key-card-{job.images[top.index].key} [data-testid='stImage'] img"
            " { border: 3px solid #4CAF50; box-sizing: content-box; margin: -3px; max-width: none; }</style>"
        )
