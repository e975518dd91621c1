"""The ranked pictures in three columns, with filters and pages; fills and re-orders by itself while scores arrive."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.jobs import Job
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import output, texts
from lychee_rerank.ui.desk import Desk
from lychee_rerank.ui.library import Item
from lychee_rerank.ui.progress import EVERY
from lychee_rerank.ui.texts import Language, text

COLUMNS = 3
WIDTH = 300
_A_PAGE = 24
GOOD, FAIR = 8.0, 6.0  # above GOOD green, from FAIR blue, below grey


def show(desk: Desk, language: Language) -> None:
    """Filters, then the cards."""
    job = desk.job
    if job is None:
        return
    active = job.snapshot().active
    st.fragment(_show, run_every=EVERY if active else None)(desk, job, language)


def band(score: float) -> str:
    """The colour class of a score."""
    return "good" if score > GOOD else "fair" if score >= FAIR else "low"


def _show(desk: Desk, job: Job, language: Language) -> None:
    ranking = list(job.snapshot().ranking)
    if not ranking:
        return
    shown = _filtered(ranking, language)
    if not shown:
        st.info(text(language, "nothing_left"))
        return
    pages = -(-len(shown) // _A_PAGE)
    page = min(st.pagination(pages, key="grid-page"), pages) if pages > 1 else 1
    _frame_the_first(job, ranking[0])
    visible = shown[(page - 1) * _A_PAGE : page * _A_PAGE]
    for start in range(0, len(visible), COLUMNS):
        for column, result in zip(st.columns(COLUMNS), visible[start : start + COLUMNS], strict=False):
            with column:
                _card(desk, job, result, language)


def _filtered(ranking: list[ImageScore], language: Language) -> list[ImageScore]:
    if len(ranking) <= COLUMNS:
        return ranking
    name, score, top = st.columns([3, 3, 2], vertical_alignment="bottom")
    wanted = name.text_input(text(language, "filter_name"), key="filter-name").strip().lower()
    lowest = score.slider(text(language, "filter_score"), 0.0, 10.0, 0.0, 0.5, key="filter-score")
    first = top.number_input(text(language, "filter_top"), 0, None, 0, key="filter-top")
    kept = ranking[: int(first)] if first else ranking
    return [result for result in kept if result.score >= lowest and wanted in result.name.lower()]


def _card(desk: Desk, job: Job, result: ImageScore, language: Language) -> None:
    picture = job.pictures[result.index]
    item = desk.library.get(picture.key)
    with st.container(key=f"card-{_css_name(picture.key)}"):
        if item and item.thumbnail:
            st.image(item.thumbnail, width=WIDTH, alt=result.name)
        else:
            st.html('<div class="no-picture" role="img" aria-label="-"></div>')
        score = f"{result.score:.1f}" if result.problem is None else "–"
        st.html(
            f'<div class="rank {band(result.score)}">Rank {result.rank} | Score: {score}</div>'
            f'<div class="name" title="{escape(result.name)}"><bdi>{escape(result.name)}</bdi></div>'
        )
        output.show(job, result, _css_name(picture.key), language)
        if (
            item
            and item.thumbnail
            and st.button(
                text(language, "large"), key=f"large-{picture.key}", type="tertiary", icon=":material/zoom_in:"
            )
        ):
            _large(item, result, language)


def _large(item: Item, result: ImageScore, language: Language) -> None:
    from lychee_rerank.images import preview

    @st.dialog(text(language, "large"), width="large")
    def dialog() -> None:
        enlarged = preview(item.source, edge=1600)
        if enlarged.thumbnail:
            st.image(enlarged.thumbnail, alt=item.name)
        st.text(item.name)
        width, height = item.dimensions
        st.caption(text(language, "metadata", width=width, height=height, size=texts.size(item.bytes)))
        if result.notes:
            st.caption("；".join(texts.note(language, code) for code in result.notes))

    dialog()


def _frame_the_first(job: Job, best: ImageScore) -> None:
    """Only the style names the first card, so that no card is built anew when another takes the lead."""
    if best.problem is None:
        name = _css_name(job.pictures[best.index].key)
        st.html(f"<style>.st-key-card-{name} [data-testid='stImage'] img {{ border: 3px solid #4CAF50; }}</style>")


def _css_name(key: str) -> str:
    return "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in key)
