"""Images of a ranking that are nearly the same, folded into one card: the best, with the others behind a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import streamlit as st

from lychee_rerank.results import ImageScore
from lychee_rerank.ui import image_dialog
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.score_line import score_line
from lychee_rerank.ui.state import AppState

_COLUMNS = 2


def fold(ranking: Iterable[ImageScore], groups: Iterable[Sequence[int]]) -> list[list[ImageScore]]:
    """Results that are alike together, in the order of the ranking; most are alone. `groups`: of `ImageScore.index`."""
    group_of = {index: group[0] for group in groups for index in group}
    folded: dict[int, list[ImageScore]] = {}
    for result in ranking:
        folded.setdefault(group_of.get(result.index, result.index), []).append(result)
    return list(folded.values())


def show_switch(groups: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """A switch, where there is something to fold; the groups to fold."""
    return groups if groups and st.toggle(t("fold_alike"), value=True, key="fold-alike") else ()


def show(state: AppState, job: RankingJob, alike: Sequence[ImageScore]) -> None:
    """A line that opens to all but the first of `alike`, each of which opens in the large view."""
    if len(alike) < 2:
        return
    key = job.images[alike[0].index].key
    with st.expander(t("alike", count=len(alike)), key=f"alike-{key}"):
        for start in range(1, len(alike), _COLUMNS):
            for column, position in zip(st.columns(_COLUMNS), range(start, len(alike)), strict=False):
                with column:
                    if _thumbnail(job, alike[position]):
                        image_dialog.show(state, job, alike, position)


def _thumbnail(job: RankingJob, result: ImageScore) -> bool:
    """Whether it was clicked."""
    image = job.images[result.index]
    with st.container(key=f"image-alike-{image.key}"):
        if image.preview.thumbnail:
            st.image(image.preview.thumbnail, width="stretch", alt=result.name)
        is_clicked = st.button(t("large"), key=f"large-alike-{image.key}")
    name = escape(result.name)
    st.html(f'{score_line(result)}<div class="name" title="{name}"><bdi>{name}</bdi></div>')
    return is_clicked
