"""What there is to know about the files that were added, in one line that opens; nothing where all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import streamlit as st

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.images.files import SPECIAL, FolderListing
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.archive import Archive, LibraryImage
from lychee_rerank.rankings.dropped import BUDGET
from lychee_rerank.ui.i18n import escape_markdown, join_names, problem_text, t
from lychee_rerank.ui.library import Library


class Notice(NamedTuple):
    """A few words for the title of the line, and the whole sentence."""

    summary: str
    text: str


def show(library: Library, archive: Archive, images: Sequence[LibraryImage]) -> None:
    """The line, closed until someone opens it."""
    notices = [
        *_unreadable(images),
        *left_out(library.listings.values()),
        *_duplicates(library),
        *(() if library.waiting else _unkept(archive, images)),  # pictures are kept after they are read
    ]
    if not notices:
        return
    title = t("notices", notices=t("comma").join(notice.summary for notice in notices))
    with st.expander(title, key="notices", icon=":material/info:"):
        for notice in notices:
            st.caption(escape_markdown(notice.text))


def left_out(listings: Iterable[FolderListing]) -> Iterator[Notice]:
    """What folders hold that was not taken, and which of them could not be opened."""
    counts: Counter[str] = Counter()
    folders: list[str] = []
    for listing in listings:
        counts += listing.left_out
        folders += [printable_name(str(folder)) for folder in listing.unreadable_folders]
    if counts:
        titles = {"": t("no_suffix"), SPECIAL: t("special_file")}
        kinds = [t("left_out_kind", count=n, kind=titles.get(kind, kind)) for kind, n in counts.most_common()]
        yield _notice("left_out", counts.total(), kinds=join_names(kinds))
    if folders:
        yield _notice("closed_folders", len(folders), names=join_names(folders))


def _unreadable(images: Sequence[LibraryImage]) -> Iterator[Notice]:
    problems = [(image.name, image.preview.problem) for image in images if image.preview.problem]
    if problems:
        names = [t("aside", text=name, aside=problem_text(problem)) for name, problem in problems]
        yield _notice("unreadable", len(problems), names=join_names(names))


def _duplicates(library: Library) -> Iterator[Notice]:
    if names := library.duplicates:
        yield _notice("duplicates", len(names), names=join_names(names))


def _unkept(archive: Archive, images: Sequence[LibraryImage]) -> Iterator[Notice]:
    """How many dropped pictures will not be here after a restart. Where nothing is kept at all, the sidebar says so."""
    count = sum(isinstance(image.source, bytes) and image.source != b"" for image in images)
    if count and archive.dropped and not archive.database.problem:
        reason = archive.dropped.problem
        why = t("unkept_error", reason=reason) if reason else t("unkept_budget", budget=format_bytes(BUDGET))
        yield _notice("unkept", count, why=why)


def _notice(key: str, count: int, **facts: object) -> Notice:
    return Notice(t(f"notice_{key}", count=count), t(key, count=count, **facts))
