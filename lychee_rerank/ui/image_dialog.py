"""One image enlarged, with what is known about it."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.images.load import preview
from lychee_rerank.rankings.archive import LibraryImage
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import rank_line, t

_EDGE = 1600  # pixels


def show(image: LibraryImage, result: ImageScore) -> None:
    """A dialog over the page; the image is decoded again, so that nothing large stays in memory. Where its file is gone
    or has changed, its thumbnail stands in.
    """
    st.dialog(t("large"), width="large")(_dialog)(image, result)


def _dialog(image: LibraryImage, result: ImageScore) -> None:
    enlarged = preview(image.source, edge=_EDGE)
    if shown := enlarged.thumbnail if enlarged.content_hash == image.key else image.preview.thumbnail:
        with st.container(horizontal_alignment="center"):
            st.image(shown, alt=image.name)
    st.text(image.name)
    width, height = image.preview.original_size
    facts = [] if result.problem else [rank_line(result)]
    facts.append(t("metadata", width=width, height=height, size=format_bytes(image.preview.file_size)))
    facts += [t(f"note_{code}") for code in result.notes]
    st.caption(t("dot").join(facts))
