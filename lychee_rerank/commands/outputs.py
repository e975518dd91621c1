"""Where rankings go: JSON, CSV, JSON Lines as results come, and the pictures themselves named by rank."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lychee_rerank.errors import InputError
from lychee_rerank.export import document, encode_json, ranked_folder, ranked_name, record, to_csv
from lychee_rerank.query import Query
from lychee_rerank.results import ImageScore

Ranked = tuple[Query, list[ImageScore]]


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
        check_writable(*files)
        for folder in (self.copy_to, self.link_to):
            if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise InputError(f"{folder} is not an empty folder: the pictures of two rankings would mix in it.")

    def chosen(self, ranking: Sequence[ImageScore]) -> list[ImageScore]:
        """The part of a ranking that was asked for."""
        least = self.min_score
        kept = [result for result in ranking if least is None or (result.problem is None and result.score >= least)]
        return kept[: self.top]


def check_writable(*files: Path) -> None:
    """Raises InputError for a file that is a folder or has none to be in."""
    for file in files:
        if file.is_dir() or not file.absolute().parent.is_dir():
            raise InputError(f"{file} cannot be written: it is a folder, or is in a folder that does not exist.")


@contextmanager
def json_lines(file: Path | None, queries: Sequence[Query]) -> Iterator[Callable[[int, ImageScore], None]]:
    """A function that writes an outcome (of a query, by number) as a line at once, so that others can read along."""
    if file is None:
        yield lambda number, result: None  # noqa: ARG005
        return
    with _stdout_or(file) as sink:

        def write(number: int, result: ImageScore) -> None:
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
    else:
        with file.open("wb") as sink:
            yield sink


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """Writes beside `file` and puts it in place when done, so that a reader never meets half of it; `-` is stdout."""
    if file == Path("-"):
        yield sys.stdout.buffer
        return
    part = file.with_name(file.name + ".part")
    with part.open("wb") as sink:
        yield sink
    os.replace(part, file)


def place_pictures(folder: Path, rankings: Iterable[Ranked], put: Callable[[Path, Path], None], *, many: bool) -> None:
    """Puts the scored pictures into `folder`, named by rank; with `many`, into one folder in it for each query."""
    for number, (query, ranking) in enumerate(rankings, start=1):
        inside = folder / ranked_folder(number, query.text) if many else folder
        inside.mkdir(parents=True, exist_ok=True)
        for result in ranking:
            if result.problem is None:
                put(Path(result.name), inside / ranked_name(result))


def copy(picture: Path, place: Path) -> None:
    """A copy with the picture's own dates."""
    shutil.copy2(picture, place)


def link(picture: Path, place: Path) -> None:
    """A symbolic link; where those need rights that the person lacks (Windows), a hard link."""
    try:
        place.symlink_to(picture.absolute())
    except OSError:
        os.link(picture.absolute(), place)
