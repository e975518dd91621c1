"""The large view: one image as large as it fits, beside all that is known of it. The ranking can be stepped through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.images.exif import ExifFacts, read_exif, read_place
from lychee_rerank.images.files import EncodedImage, UnusableImageError, read_image
from lychee_rerank.images.load import preview
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.archive import LibraryImage
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import mark_buttons
from lychee_rerank.ui.answer_panel import answer_html, conditions_button
from lychee_rerank.ui.condition_bars import condition_bars
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob
from lychee_rerank.ui.score_line import score_line
from lychee_rerank.ui.state import AppState

_EDGE = 1600  # pixels
_REFRESH_S = 2.0  # of what is known, while the ranking runs
_VIEW = "large-view"  # session key of the open _View


@dataclass(frozen=True)
class _View:
    """started: identifies the ranking. indices: `ImageScore.index` of the images to step through."""

    started: float
    indices: tuple[int, ...]
    position: int


def show(state: AppState, job: RankingJob, shown: Sequence[ImageScore], position: int) -> None:
    """Open it at `shown[position]`; the others are one step away."""
    st.session_state[_VIEW] = _View(job.started, tuple(result.index for result in shown), position)
    _open(state, job)


def reopen(state: AppState, job: RankingJob) -> None:
    """Draw it again if it is open. To be called when the whole page is drawn: that alone would close it."""
    view: _View | None = st.session_state.get(_VIEW)
    if view and view.started == job.started:
        _open(state, job)


def _open(state: AppState, job: RankingJob) -> None:
    st.dialog(t("large"), width="large", on_dismiss=_close)(_dialog)(state, job)


def _close() -> None:
    st.session_state.pop(_VIEW, None)


def _dialog(state: AppState, job: RankingJob) -> None:
    """The image is decoded each time, so that nothing large stays in memory."""
    view: _View | None = st.session_state.get(_VIEW)
    if view is None:  # just closed
        return
    index = view.indices[view.position]
    image = job.images[index]
    original = _read(image)
    exif = read_exif(original.data) if original else ExifFacts()
    scheme = st.context.theme.type or "light"  # which Streamlit tells the page, but not what lies over it
    st.html(f"<style>[data-testid='stDialog'] {{ color-scheme: {scheme}; }}</style>")
    with st.container(key="view"):
        with st.container(key="view-picture", horizontal_alignment="center", vertical_alignment="center"):
            _picture(image, original)
        with st.container(key="view-side"):
            _steps(view)
            facts = st.fragment(_facts, run_every=_REFRESH_S if job.status().active else None)
            facts(state, job, index, exif, is_original=original is not None)


def _read(image: LibraryImage) -> EncodedImage | None:
    """The file, if it is still the one that was ranked."""
    try:
        encoded = read_image(image.source)
    except UnusableImageError:
        return None
    return encoded if encoded.content_hash == image.key else None


def _picture(image: LibraryImage, original: EncodedImage | None) -> None:
    enlarged = preview(original, edge=_EDGE).thumbnail if original else None
    if shown := enlarged or image.preview.thumbnail:
        st.image(shown, alt=image.name)
    else:
        st.html('<div class="no-image"></div>')


def _steps(view: _View) -> None:
    """The last is followed by the first: a button that is disabled while it has the focus would swallow Escape."""
    with st.container(key="view-steps", horizontal=True, vertical_alignment="center"):
        st.button(t("previous"), key="view-previous", shortcut="Left", on_click=_step, args=(-1,))
        st.html(f'<div class="position">{view.position + 1} / {len(view.indices)}</div>')
        st.button(t("next"), key="view-next", shortcut="Right", on_click=_step, args=(1,))


def _step(by: int) -> None:
    view: _View | None = st.session_state.get(_VIEW)
    if view:
        st.session_state[_VIEW] = replace(view, position=(view.position + by) % len(view.indices))


def _facts(state: AppState, job: RankingJob, index: int, exif: ExifFacts, *, is_original: bool) -> None:
    """A fragment of its own: neither a mark nor a newer score decodes the image again."""
    image, result = job.images[index], next(each for each in job.status().ranking if each.index == index)
    mark_buttons.show(state.marks, image.key, "large")
    name = escape(result.name)
    st.html(f'{score_line(result)}<div class="large-name" title="{name}"><bdi>{name}</bdi></div>')
    with st.container(key="view-facts"):
        st.html(condition_bars(result) + answer_html(result))
        conditions_button(job, result, "large")
        stand_in = "" if is_original or not image.preview.thumbnail else f'<div class="small">{t("stand_in")}</div>'
        rows = "".join(f"<dt>{label}</dt><dd>{escape(text)}</dd>" for label, text in _rows(state, image, exif) if text)
        st.html(f'{stand_in}<dl class="facts">{rows}</dl>')
        if exif.has_place and st.toggle(t("show_place"), key=f"place-{image.key}"):
            st.text(_place(image))


def _rows(state: AppState, image: LibraryImage, exif: ExifFacts) -> Iterator[tuple[str, str]]:
    width, height = image.preview.original_size
    size = format_bytes(image.preview.file_size)
    yield t("size"), t("metadata", width=width, height=height, size=size) if width else size
    yield t("taken"), f"{exif.taken:%Y-%m-%d %H:%M:%S}" if exif.taken else ""
    yield t("camera"), exif.camera
    yield t("lens"), exif.lens
    yield t("exposure"), exif.exposure
    yield t("file"), _location(state, image)


def _location(state: AppState, image: LibraryImage) -> str:
    """Where the file is; "" where nothing is kept of it."""
    if not isinstance(image.source, Path):
        return t("only_in_memory") if image.source else ""
    path = printable_name(str(image.source))
    is_copy = state.archive.dropped and state.archive.dropped.path(image.key) == image.source
    return t("dropped_copy", path=path) if is_copy else path


def _place(image: LibraryImage) -> str:
    """Coordinates as maps take them: latitude, longitude."""
    original = _read(image)
    place = read_place(original.data) if original else None
    return f"{place[0]:.5f}, {place[1]:.5f}" if place else ""
