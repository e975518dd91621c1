"""The two toggles of an image, keep and reject, and their keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import get_args

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from lychee_rerank.rankings.marks import Mark, Marks
from lychee_rerank.ui.i18n import t

_KEYS = Path(__file__).parent / "mark_keys.js"
_ICONS: dict[tuple[Mark, bool], str] = {
    ("kept", False): ":material/check:",
    ("kept", True): ":material/check_circle:",
    ("rejected", False): ":material/close:",
    ("rejected", True): ":material/cancel:",
}
_SHORTCUTS: dict[Mark, str] = {"kept": "K", "rejected": "X"}


def show(marks: Marks, key: str, place: str) -> None:
    """The toggles of the image `key`; `place` ("card" or "large") is part of the keys of the widgets.

    Not a fragment of their own: 24 of those would nearly double the time of each drawing of the grid.
    """
    current = marks.get(key)
    with st.container(horizontal=True, gap="small", key=f"marks-{place}-{key}"):
        st.html(f'<span class="mark-{current}"></span>')  # what style.css knows the state by
        for mark in get_args(Mark):
            is_set = mark == current
            st.button(
                t(f"is_{mark}") if is_set else t(f"set_{mark}"),
                key=f"{mark}-{place}-{key}",
                icon=_ICONS[mark, is_set],
                type="tertiary",
                shortcut=_SHORTCUTS[mark] if place == "large" else None,  # one of each at a time
                on_click=marks.set,
                args=(key, None if is_set else mark),
            )


def show_kept(marks: Marks, keys: Iterable[str]) -> None:
    """How many of these images are kept, and the keys for it."""
    count = sum(marks.get(key) == "kept" for key in keys)
    st.caption(t("dot").join([t("kept_count", count=count), t("mark_keys")]))


def listen_for_keys() -> None:
    """Let K and X press the toggles of a card. To be drawn once on the page; nothing of it is seen."""
    _key_listener()(key="mark-keys")


@cache
def _key_listener() -> ComponentRenderer:
    return st.components.v2.component("mark_keys", js=_KEYS.read_text(encoding="utf-8"))
