"""One picture large, with what is known about it."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.images.load import preview
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item

_EDGE = 1600  # pixels


def show(item: Item, result: ImageScore, language: Language) -> None:
    """A dialog over the page; the picture is read anew, so nothing large is kept."""
    st.dialog(text(language, "large"), width="large")(_dialog)(item, result, language)


def _dialog(item: Item, result: ImageScore, language: Language) -> None:
    enlarged = preview(item.source, edge=_EDGE).thumbnail or item.thumbnail
    if enlarged:
        st.image(enlarged, alt=item.name)
    st.text(item.name)
    width, height = item.dimensions
    facts = [text(language, "metadata", width=width, height=height, size=texts.size(item.bytes))]
    facts += [texts.note(language, code) for code in result.notes]
    if result.problem is None:
        facts.insert(0, f"Rank {result.rank} | Score: {result.score:.1f}")
    st.caption("　·　".join(facts))
