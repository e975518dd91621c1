"""From names on the command line to the images to score and the queries to score them against."""

from __future__ import annotations

import codecs
import glob
import locale
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from natsort import natsorted

from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.errors import InputError
from lychee_rerank.images.files import (
    MAX_BYTES,
    SPECIAL,
    FolderListing,
    has_image_suffix,
    is_system_name,
    list_folder,
    read_regular_file,
    suffix_kind,
)
from lychee_rerank.images.paths import access_error, parse_path, printable_name
from lychee_rerank.text.encoding import decode_text

_MAX_QUERIES = 1000  # more are a mistake, such as a list of pictures; each takes memory and a prompt of its own
_NO_TEXT = "it is not text in UTF-8 or UTF-16; save it in an editor with the encoding UTF-8"
_MAX_KINDS = 5  # of files left out, and of folders, named in one line


def resolve_images(patterns: Sequence[str]) -> list[str]:
    """The image files that paths, folders, globs and `-` (a list on stdin) stand for, each once, in the order given.

    A folder stands for the images in it and below, in natural order; what is left out of it is said on stderr. A file
    is taken whatever its suffix, and one listed on stdin even if it is missing: it gets a problem instead of a score.
    Raises InputError where a pattern matches nothing or no image is found.
    """
    listings: list[FolderListing] = []
    files = dict.fromkeys(os.path.normpath(path) for pattern in patterns for path in _expand(pattern, listings))
    left_out = _describe_left_out(listings)
    if not patterns:
        raise InputError("There is no picture to score: name files, folders or globs, or - for a list on stdin.")
    if not files:
        sources = ("the list on stdin" if pattern == "-" else repr(pattern) for pattern in patterns)
        raise InputError(f"There is no picture in {', '.join(sources)}. {left_out}".rstrip())
    if left_out:
        stderr_console.print(left_out, markup=False, soft_wrap=True)
    return list(files)


def _expand(pattern: str, listings: list[FolderListing]) -> Iterator[str]:
    if pattern == "-":
        yield from _parse_list(_read_stdin())
        return
    path = parse_path(pattern)
    if os.path.isdir(path):
        yield from _list_folder(path, listings)
    elif os.path.lexists(path):
        yield path
    elif matches := natsorted(glob.glob(path, recursive=True)):
        yield from _expand_matches(matches, path, listings)
    elif reason := access_error(path):
        raise InputError(f"{pattern!r:.300} cannot be opened: {reason}.")
    else:
        raise InputError(f"There is no file, folder or match for {pattern!r:.300}.")


def _list_folder(folder: str, listings: list[FolderListing]) -> Iterator[str]:
    listing = list_folder(folder)
    if listing.folder in listing.unreadable_folders:
        raise InputError(f"The folder {folder!r} cannot be opened.")
    listings.append(listing)
    yield from map(str, listing.images)


def _expand_matches(matches: Sequence[str], pattern: str, listings: list[FolderListing]) -> Iterator[str]:
    """What a glob matched: images, and the images below folders; not what is below a system's folder, unless named."""
    named = set(Path(pattern).parts)
    left_out: Counter[str] = Counter()
    for match in matches:
        if any(map(is_system_name, set(Path(match).parts) - named)):
            continue
        if not os.path.isdir(match):
            if has_image_suffix(match):
                yield match
            else:
                left_out[suffix_kind(match)] += 1
        elif "**" not in pattern:  # which matches all that is below folders, too
            yield from _list_folder(match, listings)
    listings.append(FolderListing(Path(pattern), (), left_out, ()))


def _describe_left_out(listings: Sequence[FolderListing]) -> str:
    """Such as "5 left out: 3 .jxl, 2 .svg."; "" where nothing is."""
    counts = sum((listing.left_out for listing in listings), Counter[str]())
    folders = [printable_name(str(folder)) for listing in listings for folder in listing.unreadable_folders]
    sentences = []
    if counts:
        titles = {"": "without suffix", SPECIAL: "special (pipes, devices)"}
        kinds = [f"{count} {titles.get(kind, printable_name(kind))}" for kind, count in counts.most_common()]
        sentences.append(f"{counts.total()} left out: {_join(kinds)}.")
    if folders:
        noun = "folder" if len(folders) == 1 else "folders"
        sentences.append(f"{len(folders)} {noun} cannot be opened: {_join(folders)}.")
    return " ".join(sentences)


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_KINDS]) + (" and more" if len(names) > _MAX_KINDS else "")


def _read_stdin() -> bytes:
    """All of stdin, up to MAX_BYTES. Raises InputError."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else None
    if data is None:
        raise InputError("Stdin is closed: pipe a list into it, or leave out the -.")
    if len(data) > MAX_BYTES:
        raise InputError(f"There are more than {MAX_BYTES // 1024**2} MiB on stdin; that is no list.")
    return data


def _parse_list(data: bytes) -> Iterator[str]:
    """One path a line, perhaps quoted or a file:// address; or NUL-separated as `find -print0` does, each as it is."""
    text = _decode_list(data)
    if "\0" in text:
        yield from filter(None, text.split("\0"))
    else:
        yield from filter(None, (parse_path(line.removesuffix("\r")) for line in text.split("\n")))


def _decode_list(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # Windows PowerShell
        return data.decode("utf-16", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return os.fsdecode(data)  # on Linux and macOS it never fails, and names that are not UTF-8 survive
    except UnicodeDecodeError:
        return data.decode(locale.getencoding(), "replace")


def read_queries(path: Path) -> list[str]:
    """The queries in a text file, one a line, each once; empty lines are skipped. Raises InputError."""
    name = printable_name(f"{path!s:.300}")
    try:
        text = decode_text(_read_stdin() if str(path) == "-" else read_regular_file(parse_path(str(path))))
    except UnicodeDecodeError as error:
        raise InputError(f"The queries cannot be read from {name}: {_NO_TEXT}.") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"The queries cannot be read from {name}: {reason}.") from error
    if "\0" in text:  # UTF-16 without its mark
        raise InputError(f"The queries cannot be read from {name}: {_NO_TEXT}.")
    queries = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not 0 < len(queries) <= _MAX_QUERIES:
        raise InputError(f"There are {len(queries)} queries in {name}; there can be 1 to {_MAX_QUERIES} at a time.")
    return queries
