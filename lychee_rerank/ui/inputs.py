"""The query box, the places pictures come from, and what has been taken in so far."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lychee_rerank.errors import QueryError
from lychee_rerank.images import find_pictures
from lychee_rerank.ui import texts
from lychee_rerank.ui.desk import Desk, Settings
from lychee_rerank.ui.texts import Language, text

SAMPLES = Path(__file__).parent.parent / "demo" / "samples"
_NAMES_SHOWN = 5
_THUMBNAILS_A_ROW = 8
_THUMBNAILS_A_PAGE = 48


def show(desk: Desk, settings: Settings, language: Language) -> None:
    """Query, pictures and the start button."""
    _sources(desk, language)
    _taken(desk, language)
    with st.form("query-form", border=False, enter_to_submit=True):
        box, button = st.columns([5, 1], vertical_alignment="bottom")
        typed = box.text_input(text(language, "query"), placeholder=text(language, "query_hint"), key="query")
        started = button.form_submit_button(text(language, "start"), type="primary", width="stretch")
    if started:
        _start(desk, typed, settings, language)


def _start(desk: Desk, typed: str, settings: Settings, language: Language) -> None:
    if not desk.library.items() and not desk.library.waiting:
        st.warning(text(language, "no_pictures"))
        return
    try:
        desk.start(typed, settings)
    except QueryError as error:
        st.warning(texts.reason(language, error))
        return
    st.rerun()


def _sources(desk: Desk, language: Language) -> None:
    place = st.session_state.setdefault("drop-number", 0)
    dropped = st.file_uploader(text(language, "drop"), accept_multiple_files=True, key=f"drop-{place}")
    if dropped:
        desk.library.add((file.name, file.getvalue()) for file in dropped)
        st.session_state["drop-number"] += 1  # a fresh widget lets go of the uploaded copies
        st.rerun()
    box, folder, samples, clear = st.columns([5, 1.4, 1.6, 1.2], vertical_alignment="bottom")
    path = box.text_input(text(language, "folder"), key="folder")
    if folder.button(text(language, "folder_add"), width="stretch") and path.strip():
        _add_folder(desk, Path(path.strip().strip('"')).expanduser(), language)
    if samples.button(text(language, "samples"), width="stretch"):
        desk.library.add((file.name, file) for file in find_pictures(SAMPLES))
        st.rerun()
    if clear.button(text(language, "clear"), width="stretch"):
        desk.clear()
        st.rerun()


def _add_folder(desk: Desk, folder: Path, language: Language) -> None:
    if not folder.is_dir():
        st.warning(_literal(text(language, "folder_missing", path=folder)))
        return
    found = find_pictures(folder)
    if not found:
        st.warning(_literal(text(language, "folder_empty", path=folder)))
        return
    desk.library.add((str(file.relative_to(folder)), file) for file in found)
    st.rerun()


def _taken(desk: Desk, language: Language) -> None:
    """What is in the library; looks again by itself while pictures are still being read."""
    st.fragment(_show_taken, run_every=0.5 if desk.library.waiting else None)(desk, language)


def _show_taken(desk: Desk, language: Language) -> None:
    library = desk.library
    items, waiting = library.items(), library.waiting
    if waiting:
        st.caption(text(language, "reading", count=waiting))
    elif st.session_state.pop("was-reading", False):
        st.rerun()
    st.session_state["was-reading"] = bool(waiting)
    if not items:
        return
    total = sum(item.bytes for item in items)
    st.markdown(f"**{text(language, 'loaded', count=len(items), size=texts.size(total))}**")
    if library.duplicates:
        st.caption(
            _literal(text(language, "duplicates", count=len(library.duplicates), names=_some(library.duplicates)))
        )
    broken = [item for item in items if item.problem]
    if broken:
        named = tuple(f"{item.name} ({texts.problem(language, item.problem)})" for item in broken if item.problem)
        st.warning(_literal(text(language, "unreadable", count=len(broken), names=_some(named))))
    with st.expander(text(language, "show_loaded"), key="show-loaded", on_change="rerun") as opened:
        if opened.open:
            _thumbnails(desk, language)


def _thumbnails(desk: Desk, language: Language) -> None:
    items = desk.library.items()
    pages = -(-len(items) // _THUMBNAILS_A_PAGE)
    page = st.pagination(pages, key="library-page") if pages > 1 else 1
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


def _literal(words: str) -> str:
    """Words that may hold file names, with every mark that Markdown would read made plain."""
    return "".join(f"\\{mark}" if mark in r"\`*_{}[]()<>#+-.!|~$:&" else mark for mark in words)
