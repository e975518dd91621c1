"""The ranked pictures in three columns, with filters and pages; fills and re-orders by itself while scores arrive."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.rankings.job import Job
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import answer_panel as output
from lychee_rerank.ui import image_dialog as large
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item

COLUMNS = 3
WIDTH = 300
_A_PAGE = 24
_EVERY = 1.0  # seconds between looks at a running job; a look costs about 20 ms of the interpreter
GOOD, FAIR = 8.0, 6.0  # above GOOD green, from FAIR blue, below grey


def show(job: Job[Item], language: Language) -> None:
    """Filters, then the cards."""
    st.fragment(_show, run_every=_EVERY if job.status().active else None)(job, language)


def band(score: float) -> str:
    """The colour class of a score."""
    return "good" if score > GOOD else "fair" if score >= FAIR else "low"


def _show(job: Job[Item], language: Language) -> None:
    ranking = list(job.status().ranking)
    shown = _filtered(job, ranking, language)
    if not shown:
        st.caption(text(language, "nothing_left" if ranking else "no_scores_yet"))
        return
    pages = -(-len(shown) // _A_PAGE)
    page = min(st.pagination(pages, key="grid-page"), pages) if pages > 1 else 1
    _frame_the_first(job, ranking[0])
    visible = shown[(page - 1) * _A_PAGE : page * _A_PAGE]
    for start in range(0, len(visible), COLUMNS):
        for column, result in zip(st.columns(COLUMNS), visible[start : start + COLUMNS], strict=False):
            with column:
                _card(job, result, language)


def _filtered(job: Job[Item], ranking: list[ImageScore], language: Language) -> list[ImageScore]:
    if len(job.images) <= COLUMNS:
        return ranking
    with st.container(key="filters"):
        name, score, top = st.columns([3, 3, 2], vertical_alignment="bottom", gap="medium")
        wanted = name.text_input(text(language, "filter_name"), key="filter-name").strip().lower()
        lowest = score.slider(text(language, "filter_score"), 0.0, 10.0, 0.0, 0.5, "%.1f", key="filter-score")
        first = top.number_input(text(language, "filter_top"), 0, None, 0, key="filter-top")
    kept = ranking[: int(first)] if first else ranking
    return [result for result in kept if result.score >= lowest and wanted in result.name.lower()]


def _card(job: Job[Item], result: ImageScore, language: Language) -> None:
    item = job.images[result.index]
    name = _css_name(item.key)
    with st.container(key=f"card-{name}"):
        if item.thumbnail:
            with st.container(key=f"picture-{name}", width=WIDTH):
                # Stretched, not given a width: Streamlit would shrink it with every look at a running job.
                st.image(item.thumbnail, width="stretch", alt=result.name)
                if st.button(text(language, "large"), key=f"large-{name}"):  # lies over the whole picture
                    large.show(item, result, language)
        else:
            st.html('<div class="no-picture"></div>')
        score = f"{result.score:.1f}" if result.problem is None else "–"
        st.html(
            f'<div class="rank {band(result.score)}">Rank {result.rank} | Score: {score}</div>'
            f'<div class="name" title="{escape(result.name)}"><bdi>{escape(result.name)}</bdi></div>'
        )
        output.show(job, result, name, language)


def _frame_the_first(job: Job[Item], best: ImageScore) -> None:
    """Only the style names the first card, so that no card is built anew when another takes the lead."""
    if best.problem is None:
        name = _css_name(job.images[best.index].key)
        st.html(
            f"<style>.st-key-card-{name} [data-testid='stImage'] img"
            " { border: 3px solid #4CAF50; box-sizing: content-box; max-width: calc(100% - 6px); }</style>"
        )


def _css_name(key: str) -> str:
    return "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in key)
