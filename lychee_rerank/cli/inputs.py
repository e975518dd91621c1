"""What a person names on the command line -> the pictures to score and the queries to score them for."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from natsort import natsorted

from lychee_rerank.errors import InputError
from lychee_rerank.images.load import find_images, has_image_suffix

_MOST_QUERIES = 200  # each keeps its journal open, and systems allow a process about 1,000 open files


def pictures_named(paths: Iterable[str]) -> list[str]:
    """The files meant by files, folders, globs and `-` (a list on stdin), each once, in the order given.

    A folder stands for the pictures in it and below, in natural order. A file named outright is taken whatever its
    ending, and one listed on stdin is taken even if it is missing: it then has a problem instead of a score.
    Raises InputError where a name leads nowhere or no picture is found.
    """
    names = list(paths)
    once = {os.path.normpath(path): None for named in names for path in _meant_by(named)}
    if not once and names:
        places = ["the list on stdin" if name == "-" else repr(name) for name in names]
        raise InputError(f"There is no picture in {', '.join(places)}.")
    if not once:
        raise InputError("There is no picture to score: name files, folders or globs, or - for a list on stdin.")
    return list(once)


def _meant_by(named: str) -> Iterator[str]:
    if named == "-":
        yield from _lines(sys.stdin.buffer.read())
    elif os.path.isdir(named):
        if not os.access(named, os.R_OK | os.X_OK):
            raise InputError(f"The folder {named!r} may not be read.")
        yield from map(str, find_images(Path(named)))
    elif os.path.exists(named):
        yield named
    elif found := glob.glob(named, recursive=True):
        yield from (path for path in natsorted(found) if os.path.isfile(path) and has_image_suffix(Path(path)))
    else:
        raise InputError(f"There is no file, folder or match for {named!r}.")


def _lines(listing: bytes) -> Iterator[str]:
    """One path a line, or between NULs as `find -print0` writes them; bytes that are no text are kept as they are."""
    listing = listing.removeprefix(b"\xef\xbb\xbf")
    lines = listing.split(b"\0") if b"\0" in listing else (line.rstrip(b"\r") for line in listing.split(b"\n"))
    yield from map(os.fsdecode, filter(None, lines))


def queries_in(path: Path) -> list[str]:
    """The queries in a text file in UTF-8, one a line, each once; empty lines are left out. Raises InputError."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig") if str(path) == "-" else path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"The queries cannot be read from {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The queries cannot be read from {path}: it is no text in UTF-8.") from error
    queries = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not 0 < len(queries) <= _MOST_QUERIES:
        raise InputError(f"There are {len(queries)} queries in {path}; there can be 1 to {_MOST_QUERIES} at a time.")
    return queries
