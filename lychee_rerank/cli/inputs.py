"""From names on the command line to the images to score and the queries to score them against."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from natsort import natsorted

from lychee_rerank.errors import InputError
from lychee_rerank.images.files import find_images, has_image_suffix

_MAX_QUERIES = 200  # each holds three files open, and systems allow a process about 1,000


def resolve_images(patterns: Sequence[str]) -> list[str]:
    """The image files that paths, folders, globs and `-` (a list on stdin) stand for, each once, in the order given.

    A folder stands for the images in it and below, in natural order. A file is taken whatever its suffix, and one
    listed on stdin even if it is missing: it gets a problem instead of a score. Raises InputError where a pattern
    matches nothing or no image is found.
    """
    files = dict.fromkeys(os.path.normpath(path) for pattern in patterns for path in _expand(pattern))
    if not patterns:
        raise InputError("There is no picture to score: name files, folders or globs, or - for a list on stdin.")
    if not files:
        sources = ("the list on stdin" if pattern == "-" else repr(pattern) for pattern in patterns)
        raise InputError(f"There is no picture in {', '.join(sources)}.")
    return list(files)


def _expand(pattern: str) -> Iterator[str]:
    if pattern == "-":
        yield from _parse_list(sys.stdin.buffer.read())
    elif os.path.isdir(pattern):
        if not os.access(pattern, os.R_OK | os.X_OK):
            raise InputError(f"The folder {pattern!r} may not be read.")
        yield from map(str, find_images(pattern))
    elif os.path.exists(pattern):
        yield pattern
    elif matches := glob.glob(pattern, recursive=True):
        yield from (path for path in natsorted(matches) if os.path.isfile(path) and has_image_suffix(path))
    else:
        raise InputError(f"There is no file, folder or match for {pattern!r}.")


def _parse_list(data: bytes) -> Iterator[str]:
    """One path a line, or NUL-separated as `find -print0` writes them; undecodable bytes survive (`os.fsdecode`)."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = data.split(b"\0") if b"\0" in data else (line.rstrip(b"\r") for line in data.split(b"\n"))
    yield from map(os.fsdecode, filter(None, lines))


def read_queries(path: Path) -> list[str]:
    """The queries in a text file in UTF-8, one a line, each once; empty lines are skipped. Raises InputError."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig") if str(path) == "-" else path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"The queries cannot be read from {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The queries cannot be read from {path}: it is not text in UTF-8.") from error
    queries = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not 0 < len(queries) <= _MAX_QUERIES:
        raise InputError(f"There are {len(queries)} queries in {path}; there can be 1 to {_MAX_QUERIES} at a time.")
    return queries
