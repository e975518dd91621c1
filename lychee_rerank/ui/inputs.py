"""The places pictures come from, what has been taken in so far, and the query box."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from lychee_rerank.errors import QueryError
from lychee_rerank.images.load import find_images
from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, literal, text
from lychee_rerank.ui.library import Item
from lychee_rerank.ui.state import Desk, Settings

SAMPLES = Path(__file__).parent.parent / "demo" / "samples"
_NAMES_SHOWN = 5
_IN_THE_STRIP = 12
_THUMBNAILS_A_ROW = 8
_THUMBNAILS_A_PAGE = 48


def show(desk: Desk, settings: Settings, language: Language) -> None:
    """Pictures, query, and the start button."""
    dropped, folder = st.columns([1, 1], gap="medium")
    with dropped:
        _drop(desk, language)
    with folder:
        _folder_and_buttons(desk, language)
    _taken(desk, language)
    with st.form("query-form", border=False, enter_to_submit=True):
        box, button = st.columns([5, 1], vertical_alignment="bottom")
        typed = box.text_input(text(language, "query"), placeholder=text(language, "query_hint"), key="query")
        started = button.form_submit_button(text(language, "start"), type="primary", width="stretch")
    if started:
        _start(desk, typed, settings, language)


def _start(desk: Desk, typed: str, settings: Settings, language: Language) -> None:
    if not desk.library.items():
        st.warning(text(language, "still_reading" if desk.library.waiting else "no_pictures"))
        return
    try:
        desk.start(typed, settings)
    except QueryError as error:
        st.warning(texts.reason(language, error))
        return
    st.rerun()


def _drop(desk: Desk, language: Language) -> None:
    place = st.session_state.setdefault("drop-number", 0)
    # Streamlit's own words in the box are English only; the style puts these in their place.
    st.html(
        f"<style>:root {{ --drop-button: '{text(language, 'drop_button')}';"
        f" --drop-hint: '{text(language, 'drop_hint')}'; }}</style>"
    )
    dropped = st.file_uploader(text(language, "drop"), accept_multiple_files=True, key=f"drop-{place}")
    if dropped:
        desk.library.add((file.name, file.getvalue()) for file in dropped)
        _let_go(dropped)
        st.session_state["drop-number"] += 1
        st.rerun()


def _let_go(dropped: list[UploadedFile]) -> None:
    """The library has the bytes now; Streamlit would hold its own copies until the tab is closed."""
    context = get_script_run_ctx()
    if context:
        for file in dropped:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)  # type: ignore[attr-defined]


def _folder_and_buttons(desk: Desk, language: Language) -> None:
    with st.form("folder-form", border=False, enter_to_submit=True):
        box, add = st.columns([3, 1.2], vertical_alignment="bottom")
        path = box.text_input(text(language, "folder"), key="folder", placeholder=text(language, "folder_hint"))
        added = add.form_submit_button(text(language, "folder_add"), width="stretch")
    with st.container(key="sources", horizontal=True):
        samples = st.button(text(language, "samples"), type="tertiary", icon=":material/photo_library:")
        clear = st.button(text(language, "clear"), type="tertiary", icon=":material/delete:")
    if added and path.strip():
        _add_folder(desk, Path(path.strip().strip('"')).expanduser(), language)
    if samples:
        desk.library.add((file.name, file) for file in find_images(SAMPLES))
        st.rerun()
    if clear:
        desk.clear()
        st.rerun()


def _add_folder(desk: Desk, folder: Path, language: Language) -> None:
    if not folder.is_dir():
        st.warning(literal(text(language, "folder_missing", path=folder)))
        return
    found = find_images(folder)
    if not found:
        st.warning(literal(text(language, "folder_empty", path=folder)))
        return
    desk.library.add((str(file.relative_to(folder)), file) for file in found)
    st.rerun()


def _taken(desk: Desk, language: Language) -> None:
    """What is in the library; looks again by itself while pictures are still being read."""
    st.fragment(_show_taken, run_every=0.5 if desk.library.waiting else None)(desk, language)


def _show_taken(desk: Desk, language: Language) -> None:
    library = desk.library
    items, waiting = library.items(), library.waiting
    if not waiting and st.session_state.pop("was-reading", False):
        st.rerun()
    st.session_state["was-reading"] = bool(waiting)
    if waiting:
        st.progress(len(items) / (len(items) + waiting), text=text(language, "reading", count=waiting))
    if not items:
        return
    if library.duplicates:
        st.caption(
            literal(text(language, "duplicates", count=len(library.duplicates), names=_some(library.duplicates)))
        )
    broken = [item for item in items if item.problem]
    if broken:
        named = tuple(f"{item.name} ({texts.problem(language, item.problem)})" for item in broken if item.problem)
        st.warning(literal(text(language, "unreadable", count=len(broken), names=_some(named))))
    if not desk.jobs:
        _strip(items)
    total = texts.size(sum(item.bytes for item in items))
    loaded = text(language, "loaded", count=len(items), size=total)
    with st.expander(loaded, key="show-loaded", on_change="rerun") as opened:
        if opened.open:
            _thumbnails(desk, items, language)


def _strip(items: list[Item]) -> None:
    """The first few at a glance, before there is a ranking to look at."""
    shown = [item for item in items if item.thumbnail][:_IN_THE_STRIP]
    with st.container(key="strip", horizontal=True, gap="small"):
        for item in shown:
            st.image(item.thumbnail, width="content", alt=item.name)  # type: ignore[arg-type]


def _thumbnails(desk: Desk, items: list[Item], language: Language) -> None:
    pages = -(-len(items) // _THUMBNAILS_A_PAGE)
    page = min(st.pagination(pages, key="library-page"), pages) if pages > 1 else 1
    shown = items[(page - 1) * _THUMBNAILS_A_PAGE : page * _THUMBNAILS_A_PAGE]
    for start in range(0, len(shown), _THUMBNAILS_A_ROW):
        row = st.columns(_THUMBNAILS_A_ROW)
        for column, item in zip(row, shown[start : start + _THUMBNAILS_A_ROW], strict=False):
            with column:
                if item.thumbnail:
                    st.image(item.thumbnail, alt=item.name)
                st.text(item.name)
                if st.button(text(language, "remove"), key=f"remove-{item.key}", type="tertiary"):
                    desk.library.remove(item.key)
                    st.rerun()


def _some(names: tuple[str, ...]) -> str:
    shown = "、".join(names[:_NAMES_SHOWN])
    return shown + ("……" if len(names) > _NAMES_SHOWN else "")
