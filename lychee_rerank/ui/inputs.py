"""The query, where images come from, what the library holds, and the start button, in this order."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.images.files import find_images, is_system_name, list_folder
from lychee_rerank.images.paths import access_error, parse_path, printable_name
from lychee_rerank.rankings.archive import LibraryImage
from lychee_rerank.ui import notices, query_form
from lychee_rerank.ui.grid import cells
from lychee_rerank.ui.i18n import escape_markdown, shorten, t
from lychee_rerank.ui.library import Library
from lychee_rerank.ui.state import AppState, Settings

_REFRESH_S = 0.5
_STRIP_LENGTH = 12
_COLUMNS = 6
_PAGE_SIZE = 48
_MAX_PATH = 200  # characters shown of a path that someone typed


def show(state: AppState, settings: Settings) -> None:
    """The query is drawn first, so that a ranking which it starts is on the page at once. Laid out by style.css."""
    with st.container(key="inputs"):
        warning = query_form.show(state, settings)
        with st.container(key="sources"):
            upload, folder = st.columns([1, 1], gap="medium")
            with upload:
                _upload(state)
            with folder:
                _folder_form(state)
                _buttons(state)
        with st.container(key="library"):
            reading = state.library.waiting > 0
            st.fragment(_library, run_every=_REFRESH_S if reading else None)(state, was_reading=reading)
    if warning:
        st.warning(warning)


def _upload(state: AppState) -> None:
    number = st.session_state.setdefault("upload-number", 0)  # a new key empties the uploader
    # Streamlit's texts in the uploader are English only; style.css shows these in their place.
    button, hint = t("drop_button"), t("drop_hint")
    st.html(f"<style>:root {{ --drop-button: '{button}'; --drop-hint: '{hint}'; }}</style>")
    files = st.file_uploader(t("drop"), accept_multiple_files=True, key=f"upload-{number}")
    if files:
        images = [file for file in files if not any(map(is_system_name, Path(file.name).parts))]
        state.library.add((file.name, file.getvalue()) for file in images)
        _release_uploads(files)
        st.session_state["upload-number"] += 1
        st.rerun()


def _release_uploads(files: list[UploadedFile]) -> None:
    """Drop Streamlit's copies, which would stay until the tab is closed; the library has the bytes."""
    context = get_script_run_ctx()
    if context:
        for file in files:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)  # type: ignore[attr-defined]


def _folder_form(state: AppState) -> None:
    with st.form("folder-form", border=False, enter_to_submit=True):
        box, button = st.columns([3, 1.2], vertical_alignment="bottom")
        text = box.text_input(t("folder"), key="folder", placeholder=t("folder_hint")).strip()
        submitted = button.form_submit_button(t("folder_add"), width="stretch")
    if submitted and text:
        if warning := _add_path(state.library, parse_path(text)):
            st.warning(escape_markdown(warning))
        else:
            st.rerun()


def _add_path(library: Library, path: str) -> str:
    """Add the images of a folder, or one image; returns a warning where there are none, else ""."""
    shown = shorten(printable_name(path), _MAX_PATH)
    if os.path.isfile(path):
        library.add([(os.path.basename(path), Path(path))])
    elif not os.path.isdir(path):
        reason = access_error(path)
        return t("folder_closed", path=shown, reason=reason) if reason else t("folder_missing", path=shown)
    else:
        listing = list_folder(path)
        if not listing.images:
            return t("dot").join(
                [t("folder_empty", path=shown), *(notice.text for notice in notices.left_out([listing]))]
            )
        library.add_folder(listing)
    return ""


def _buttons(state: AppState) -> None:
    with st.container(key="source-buttons", horizontal=True):
        samples = st.button(t("samples"), type="tertiary", icon=":material/photo_library:")
        clear = st.button(t("clear"), type="tertiary", icon=":material/delete:")
    if samples:
        state.library.add((file.name, file) for file in find_images(query_form.SAMPLES))
        st.rerun()
    if clear:
        state.clear()
        st.rerun()


def _library(state: AppState, was_reading: bool) -> None:
    """What the library holds; refreshed while files are being read."""
    library = state.library
    images, waiting = library.images(), library.waiting
    if was_reading and not waiting:
        st.rerun()
    if not images and not waiting:
        st.caption(t("nothing_loaded"))
        return
    size = format_bytes(sum(image.preview.file_size for image in images))
    label = t("reading", count=waiting) if waiting else t("loaded", count=len(images), size=size)
    icon = "spinner" if waiting else None
    with st.expander(label, key="loaded", on_change="rerun", icon=icon) as expander:
        if expander.open:
            _thumbnails(library, images)
    notices.show(library, state.archive, images)
    if not state.jobs:
        _strip(images)


def _strip(images: list[LibraryImage]) -> None:
    """The first few images in one line, before there is a ranking."""
    with st.container(key="strip", horizontal=True, gap="small"):
        for image in [image for image in images if not image.preview.problem][:_STRIP_LENGTH]:
            if thumbnail := image.preview.thumbnail:
                st.image(thumbnail, width="content", alt=image.name)


def _thumbnails(library: Library, images: list[LibraryImage]) -> None:
    for column, image in cells(images, len(images), _COLUMNS, _PAGE_SIZE, "library-page"):
        with column, st.container(gap="xsmall"):
            if thumbnail := image.preview.thumbnail:
                st.image(thumbnail, alt=image.name)
            st.text(image.name)
            if st.button(t("remove"), key=f"remove-{image.key}", type="tertiary"):
                library.remove(image.key)
                st.rerun()
