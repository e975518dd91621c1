"""One image enlarged, with what is known about it."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.images.load import preview
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import Language, note_text, rank_line, t
from lychee_rerank.ui.library import LibraryImage

_EDGE = 1600  # pixels


def show(image: LibraryImage, result: ImageScore, language: Language) -> None:
    """A dialog over the page; the image is decoded again, so that nothing large stays in memory."""
    st.dialog(t(language, "large"), width="large")(_dialog)(image, result, language)


def _dialog(image: LibraryImage, result: ImageScore, language: Language) -> None:
    enlarged = preview(image.source, edge=_EDGE).thumbnail or image.thumbnail
    if enlarged:
        with st.container(horizontal_alignment="center"):
            st.image(enlarged, alt=image.name)
    st.text(image.name)
    width, height = image.dimensions
    facts = [] if result.problem else [rank_line(language, result)]
    facts.append(t(language, "metadata", width=width, height=height, size=format_bytes(image.file_size)))
    facts += [note_text(language, code) for code in result.notes]
    st.caption(t(language, "dot").join(facts))
