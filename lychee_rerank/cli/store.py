"""`lychee-rerank store`: where scores and the page's rankings are kept, how much there is, and how to delete it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lychee_rerank.cli import options as opt
from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.errors import InputError, StoreError
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.archive import Archive, open_archive

Clear = Annotated[bool, typer.Option("--clear", help="Delete all of it: scores, and what the page remembers.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking.")]


def manage_store(store: opt.Store = None, clear: Clear = False, yes: Yes = False) -> None:
    """Say where scores are kept, or delete them.

    Every score is kept, and so are the last rankings of the page, so that nothing is scored twice.
    """
    archive = open_archive(store)
    with archive.store:
        _show(archive)
        if not clear:
            print("To delete all of it, add --clear.")
        elif archive.database.problem:
            raise StoreError("Nothing was deleted. The file can be deleted by hand while nothing else uses it.")
        elif yes or _confirm():
            archive.delete_all()
            print("All of it is deleted.")
        else:
            print("Nothing was deleted.")


def _show(archive: Archive) -> None:
    if archive.database.path:
        print("File:", printable_name(str(archive.database.path)))
        print("Size:", format_bytes(archive.size()))
        print("Scores:", archive.store.count())
        print("Rankings of the page:", len(archive.rankings()))


def _confirm() -> bool:
    if not _can_be_asked():
        raise InputError("Nothing was deleted, because nobody can be asked here: add --yes.")
    try:
        return input("Delete all of it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _can_be_asked() -> bool:
    return bool(sys.stdin and sys.stdin.isatty())
