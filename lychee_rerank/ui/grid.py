"""The ranked images in three columns, with filters, pages and marks; re-orders itself while scores arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lychee_rerank.results import ImageScore
from lychee_rerank.ui import answer_panel, grid_filters, image_dialog, mark_buttons, near_duplicates
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.score_line import score_line
from lychee_rerank.ui.state import AppState

COLUMNS = 3
WIDTH = 300  # pixels
_PAGE_SIZE = 24
_REFRESH_S = 2.0  # each drawing takes the scoring thread 20 ms, and the browser half a core on the same machine

T = TypeVar("T")


def show(state: AppState, job: RankingJob) -> None:
    """Filters, then the cards."""
    image_dialog.reopen(state, job)
    st.fragment(_show, run_every=_REFRESH_S if job.status().active else None)(state, job)


def cells(items: Sequence[T], total: int, columns: int, page_size: int, key: str) -> Iterator[tuple[DeltaGenerator, T]]:
    """The items of the page that is open, each with its column; `key` is the pagination's, drawn where there may be
    two pages in the end, with `total` items, so that it moves nothing when the second page comes.
    """
    pages = max(1, -(-len(items) // page_size))
    page = min(st.pagination(pages, key=key), pages) if total > page_size else 1
    visible = items[(page - 1) * page_size : page * page_size]
    for start in range(0, len(visible), columns):
        yield from zip(st.columns(columns), visible[start : start + columns], strict=False)


def _show(state: AppState, job: RankingJob) -> None:
    status = job.status()
    ranking = status.ranking
    filtered = _filter(state, job, ranking)
    cards = near_duplicates.fold(filtered, near_duplicates.show_switch(status.near_duplicates))
    shown = [card[0] for card in cards]
    mark_buttons.show_kept(state.marks, (image.key for image in job.images))
    if not shown:
        st.caption(t("nothing_left" if ranking else "no_scores_yet"))
        return
    _highlight_top(job, ranking[0])
    for column, position in cells(range(len(shown)), len(job.images), COLUMNS, _PAGE_SIZE, "grid-page"):
        with column:
            if _card(state, job, cards[position]):
                image_dialog.show(state, job, shown, position)


def _filter(state: AppState, job: RankingJob, ranking: Sequence[ImageScore]) -> Sequence[ImageScore]:
    return grid_filters.filtered(job, state.marks, ranking) if len(job.images) > COLUMNS else ranking


def _card(state: AppState, job: RankingJob, alike: Sequence[ImageScore]) -> bool:
    """A card of the first of `alike`; whether its image was clicked."""
    is_clicked = False
    result = alike[0]
    image = job.images[result.index]
    with st.container(key=f"card-{image.key}"):
        if thumbnail := image.preview.thumbnail:
            with st.container(key=f"image-{image.key}", width=WIDTH):
                # Stretched, not given a width: Streamlit would shrink it each time a running job is drawn.
                st.image(thumbnail, width="stretch", alt=result.name)
                is_clicked = st.button(t("large"), key=f"large-{image.key}")  # covers the whole image, see style.css
        else:
            st.html('<div class="no-image"></div>')
        name = escape(result.name)
        st.html(f'{score_line(result)}<div class="name" title="{name}"><bdi>{name}</bdi></div>')
        near_duplicates.show(state, job, alike)
        mark_buttons.show(state.marks, image.key, "card")
        answer_panel.show(job, result)
    return is_clicked


def _highlight_top(job: RankingJob, top: ImageScore) -> None:
    """The border of the first card, by a style rule of its own: cards stay as they are when another takes the lead."""
    if top.problem is None:
        st.html(
            f"<style>.st-key-card-{job.images[top.index].key} [data-testid='stImage'] img"
            " { border: 3px solid #4CAF50; box-sizing: content-box; margin: -3px; max-width: none; }</style>"
        )
