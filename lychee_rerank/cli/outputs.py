"""Where rankings go: JSON, CSV, JSON Lines as results come, and the pictures themselves named by rank."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lychee_rerank.errors import InputError
from lychee_rerank.images.load import has_image_suffix
from lychee_rerank.rankings.export import document, encode_json, ranked_folder, ranked_name, record, to_csv
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query

Ranked = tuple[Query, list[ImageScore]]

_UNFINISHED = ".lychee-rerank-unfinished"  # lies in a folder while pictures are placed in it
_PLACED = re.compile(r"\d{2,}_.*", re.DOTALL)  # how all names in it begin


@dataclass(frozen=True)
class Outputs:
    """What was asked for on the command line; a file called `-` is stdout."""

    top: int | None = None
    min_score: float | None = None
    json: Path | None = None
    csv: Path | None = None
    jsonl: Path | None = None
    copy_to: Path | None = None
    link_to: Path | None = None

    @property
    def on_stdout(self) -> bool:
        """Whether a file goes to stdout, so that nothing else may."""
        return Path("-") in (self.json, self.csv, self.jsonl)

    def check(self) -> None:
        """Raises InputError for what could otherwise fail only after all the scoring."""
        files = [file for file in (self.json, self.csv, self.jsonl) if file]
        if files.count(Path("-")) > 1:
            raise InputError("Only one of --json, --csv and --jsonl can go to stdout.")
        if picture := next((file for file in files if has_image_suffix(file) and file.exists()), None):
            raise InputError(f"{picture} is a picture; it would be overwritten.")
        check_writable(*files)
        folders = [folder for folder in (self.copy_to, self.link_to) if folder]
        for folder in folders:
            _check_folder(folder)
        once: set[Path] = set()
        for place in (output.resolve() for output in (*files, *folders) if output != Path("-")):
            if place in once:
                raise InputError(f"{place} is named for two outputs; give each a place of its own.")
            once.add(place)

    def chosen(self, ranking: Sequence[ImageScore]) -> list[ImageScore]:
        """The part of a ranking that was asked for."""
        least = self.min_score
        kept = [result for result in ranking if least is None or (result.problem is None and result.score >= least)]
        return kept[: self.top]


def check_writable(*files: Path) -> None:
    """Raises InputError for a file that cannot be written: it is a folder, or its place takes no files."""
    for file in files:
        if file == Path("-"):
            continue
        if file.is_dir():
            raise InputError(f"{file} cannot be written: it is a folder.")
        if file.exists() and not os.access(file, os.W_OK):
            raise InputError(f"{file} cannot be written: it is read-only.")
        if not _is_device(file):
            _check_place(file, file.resolve().parent)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; a new or empty folder is needed.")
    place = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    _check_place(folder, place)
    if place == folder.resolve() and any(folder.iterdir()) and not (folder / _UNFINISHED).exists():
        raise InputError(f"{folder} is not an empty folder: the pictures of two rankings would mix in it.")


def _check_place(output: Path, folder: Path) -> None:
    """Asks the system itself, by a file that is gone at once: rights alone do not tell of a read-only disk."""
    try:
        if not folder.is_dir():
            raise InputError(f"{output} cannot be written: there is no folder {folder}.")
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _is_device(file: Path) -> bool:
    """Such as /dev/stdout or a named pipe, which is written to and not replaced."""
    return file.exists() and not file.is_file()


@contextmanager
def json_lines(file: Path | None, queries: Sequence[Query]) -> Iterator[Callable[[int, ImageScore], None]]:
    """A function that writes an outcome (of a query, by number) as a line at once, so that others can read along."""
    if file is None:
        yield lambda number, result: None  # noqa: ARG005
        return
    with _stdout_or(file) as sink:

        def write(number: int, result: ImageScore) -> None:
            with _naming(file):
                sink.write(encode_json({"query": queries[number].text, **record(result)}) + b"\n")
                sink.flush()

        yield write


def write_csv(file: Path, rankings: Iterable[Ranked]) -> None:
    """All rankings as one table."""
    with whole_file(file) as sink:
        for number, (query, ranking) in enumerate(rankings):
            sink.write(to_csv(ranking, query=query.text, header=number == 0))


def write_json(file: Path, rankings: Iterable[Ranked], *, model: str, many: bool) -> None:
    """One ranking as one object; with `many`, an array of such objects."""
    with whole_file(file) as sink:
        for number, (query, ranking) in enumerate(rankings):
            sink.write((b",\n" if number else b"[\n") if many else b"")
            fields = document(ranking, query=query.text, normalized=query.normalized, model=model)
            sink.write(encode_json(fields, indent=2))
        sink.write(b"\n]\n" if many else b"\n")


@contextmanager
def _stdout_or(file: Path) -> Iterator[BinaryIO]:
    if file == Path("-"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        sink = file.open("wb")
        try:
            yield sink
        finally:
            with _naming(file):
                sink.close()


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """Writes beside `file` and puts it in place when done, so that a reader never meets half of it; `-` is stdout."""
    if file == Path("-") or _is_device(file):
        with _naming(file), _stdout_or(file) as sink:
            yield sink
        return
    file = file.resolve()  # what a symbolic link leads to is replaced, not the link
    part = file.with_name(file.name + ".part")
    try:
        with _naming(file), part.open("wb") as sink:
            yield sink
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Puts the file's name into an error of writing, which comes without (a full disk)."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "stdout" if file == Path("-") else str(file)
        raise


def place_pictures(folder: Path, rankings: Iterable[Ranked], put: Callable[[Path, Path], None], *, many: bool) -> None:
    """Puts the scored pictures into `folder`, named by rank; with `many`, into one folder in it for each query.

    What an interrupted run left there is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / _UNFINISHED).exists():
        _clear(folder)
    (folder / _UNFINISHED).touch()
    for number, (query, ranking) in enumerate(rankings, start=1):
        inside = folder / ranked_folder(number, query.text) if many else folder
        inside.mkdir(parents=True, exist_ok=True)
        for result in ranking:
            if result.problem is None:
                put(Path(result.name), inside / ranked_name(result))
    (folder / _UNFINISHED).unlink()


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if _PLACED.fullmatch(entry.name):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def copy(picture: Path, place: Path) -> None:
    """A copy with the picture's own dates."""
    shutil.copy2(picture, place)


def link(picture: Path, place: Path) -> None:
    """A symbolic link; where those need rights that the person lacks (Windows), a hard link."""
    try:
        place.symlink_to(picture.absolute())
    except OSError:
        os.link(picture.absolute(), place)
