"""Where rankings go: JSON, CSV, and JSON Lines as results come."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import BinaryIO

from lychee_rerank.cli.image_folder import RankedQuery, is_unfinished
from lychee_rerank.errors import InputError
from lychee_rerank.images.files import has_image_suffix
from lychee_rerank.rankings.export import csv_chunks, encode_json, json_chunks, record
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query

STDOUT = Path("-")


@dataclass(frozen=True)
class Outputs:
    """The outputs named on the command line; a file called `-` is stdout."""

    top: int | None = None
    min_score: float | None = None
    json: Path | None = None
    csv: Path | None = None
    jsonl: Path | None = None
    copy_to: Path | None = None
    link_to: Path | None = None

    def check(self) -> None:
        """Raises InputError for what would otherwise fail only after all the scoring."""
        files = [file for file in (self.json, self.csv, self.jsonl) if file]
        folders = [folder for folder in (self.copy_to, self.link_to) if folder]
        if files.count(STDOUT) > 1:
            raise InputError("Only one of --json, --csv and --jsonl can go to stdout.")
        if STDOUT in files and getattr(sys.stdout, "name", "") == os.devnull:  # as `main` replaces a closed stdout
            raise InputError("Stdout is closed, so nothing can be written to it: name a file instead of -.")
        if image := next((file for file in files if has_image_suffix(file) and file.exists()), None):
            raise InputError(f"{image} is a picture; it would be overwritten.")
        check_writable(*files)
        for folder in folders:
            _check_empty(folder)
        paths = [path.resolve() for path in (*files, *folders) if path != STDOUT]
        if duplicate := next((path for path in paths if paths.count(path) > 1), None):
            raise InputError(f"{duplicate} is named for two outputs; give each a name of its own.")

    def select(self, ranking: Iterable[ImageScore]) -> Iterator[ImageScore]:
        """The part of a ranking, best first, that --top and --min-score leave."""
        if (least := self.min_score) is not None:
            ranking = takewhile(lambda result: result.problem is None and result.score >= least, ranking)
        return islice(ranking, self.top)


def check_writable(*files: Path) -> None:
    """Raises InputError for a file that cannot be written."""
    for file in files:
        if file == STDOUT:
            continue
        if file.is_dir():
            raise InputError(f"{file} cannot be written: it is a folder.")
        if file.exists() and not os.access(file, os.W_OK):
            raise InputError(f"{file} cannot be written: it is read-only.")
        if not _is_device(file):
            _check_folder_writable(file.resolve().parent, output=file)


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; a new or empty folder is needed.")
    path = folder.resolve()
    _check_folder_writable(next(parent for parent in (path, *path.parents) if parent.exists()), output=folder)
    if folder.exists() and any(folder.iterdir()) and not is_unfinished(folder):
        raise InputError(f"{folder} is not an empty folder: the pictures of two rankings would mix in it.")


def _check_folder_writable(folder: Path, output: Path) -> None:
    """Creates a temporary file, because permissions alone do not reveal a read-only file system."""
    try:
        if not folder.is_dir():
            raise InputError(f"{output} cannot be written: there is no folder {folder}.")
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _is_device(file: Path) -> bool:
    """Such as /dev/stdout or a named pipe, which must be written to and not replaced."""
    return file.exists() and not file.is_file()


@contextmanager
def json_lines(file: Path | None) -> Iterator[Callable[[Query, ImageScore], None]]:
    """A function that writes a result as one line at once, so that others can read along; without a file, nothing."""
    with _open_output(file) if file else nullcontext() as output:

        def write(query: Query, result: ImageScore) -> None:
            if output:
                output.write(encode_json({"query": query.text, **record(result)}))
                output.flush()

        yield write


def write_csv(file: Path, rankings: Iterable[RankedQuery], *, conditions: Sequence[str] = ()) -> None:
    """All rankings as one table, with a column for each of `conditions`."""
    with atomic_write(file) as output:
        for index, (query, ranking) in enumerate(rankings):
            output.writelines(csv_chunks(ranking, query=query.text, header=index == 0, conditions=conditions))


def write_json(file: Path, rankings: Iterable[RankedQuery], *, model: str, multi_query: bool) -> None:
    """One ranking as one object; with `multi_query`, an array of such objects."""
    with atomic_write(file) as output:
        for index, (query, ranking) in enumerate(rankings):
            output.write((b",\n" if index else b"[\n") if multi_query else b"")
            output.writelines(json_chunks(ranking, query=query, model=model))
        output.write(b"\n]\n" if multi_query else b"\n")


@contextmanager
def atomic_write(file: Path) -> Iterator[BinaryIO]:
    """Writes to a temporary file that replaces `file` at the end, so that nobody reads half of it; `-` is stdout."""
    if file == STDOUT or _is_device(file):
        with _open_output(file) as output:
            yield output
        return
    file = file.resolve()  # the target of a symbolic link is replaced, not the link
    part = file.with_name(file.name + ".part")
    try:
        with _open_output(part) as output:
            yield output
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _open_output(file: Path) -> Iterator[BinaryIO]:
    """The opened file; errors of writing (a full disk), which lack a file name, get it."""
    try:
        if file == STDOUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with file.open("wb") as output:
                yield output
    except OSError as error:
        if error.filename is None:
            error.filename = "stdout" if file == STDOUT else str(file)
        raise
