"""A finished ranking as CSV, JSON or a ZIP of its best images.

Fields of one result, the same in JSON (`record`), JSON Lines and CSV, and kept stable:

    rank         from 1; null before ranking
    score        0.0 to 10.0; null (an empty cell) where the image could not be scored
    name         the file's name or path, as the caller gave it
    method       "generate" or "yes_no"
    probability  of "yes", 0 to 1; null with method "generate"
    tier         of the rule that read the score: "primary", "fallback" or "default"; null with "yes_no"
    answer       the model's answer
    notes        codes of what was done to the image while opening it
    error        null, or why there is no score: its code and, in CSV after a colon, one sentence
    seconds      time spent on this image
    index        position in the input, from 0
    mark         "kept" or "rejected", as a person marked the image; null where nobody did
    conditions   in JSON: the text and the score of each part of the query that was scored alone; null where it could
                 not be, with "error" as above

CSV has the query as its first column, so that tables of several queries can be joined, and instead of `conditions` a
column for each part of the query, so that a spreadsheet can sort by it. Its header is the part as typed, with
"(condition)" after it where another column has that name; the cell is empty where there is no score.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lychee_rerank.errors import PictureProblem
from lychee_rerank.rankings.marks import Mark
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.query import Query

COLUMNS = (
    "rank", "score", "name", "method", "probability", "tier", "answer", "notes", "error", "seconds", "index", "mark",
)  # fmt: skip

# Where a spreadsheet may find a formula: at the start of a cell, and inside one behind what splits cells where the list
# separator is ";" (most of Europe) or where text is pasted; spaces, quotes and invisible characters may come first.
# The signs are taken in the full-width and small forms of Chinese keyboards, too.
_SKIPPED = r"(?:(?![\t\r\n])[\s\"\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff])*"
_FORMULA = re.compile(rf"(?:\A|(?<=[;\t\r\n])){_SKIPPED}(?=[-=+@＝＋－＠﹦﹢﹣﹫])|\A(?=[\t\r\n])")
# Forbidden in Windows names, control characters, and bidirectional marks (they can disguise a suffix).
_UNSAFE = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_MAX_NAME_BYTES = 200  # in UTF-8; file systems allow 255
_MAX_SUFFIX_LENGTH = 10
_CHUNK = 1 << 20
_MISSING_FILE = "MISSING.txt"
_MISSING_TEXT = """These pictures are not in this archive, because they can no longer be read:
这些图片已无法读取，因此不在此压缩包中：

"""


class MissingImageError(Exception):
    """An image file that is no longer there or can no longer be read; its text says why, as a phrase."""


def record(result: ImageScore, mark: Mark | None = None) -> dict[str, object]:
    """One result as plain JSON values, as this module's docstring lists them."""
    return {
        "rank": result.rank,
        "score": None if result.problem else result.score,
        "name": result.name,
        "method": result.method,
        "probability": result.probability,
        "tier": result.parsed.tier if result.parsed else None,
        "answer": result.answer,
        "notes": list(result.notes),
        "error": _error(result.problem) if result.problem else None,
        "seconds": round(result.seconds, 4),
        "index": result.index,
        "mark": mark,
        "conditions": [_condition(condition) for condition in result.conditions],
    }


def _condition(condition: ConditionScore) -> dict[str, object]:
    if condition.problem:
        return {"text": condition.text, "score": None, "error": _error(condition.problem)}
    return {"text": condition.text, "score": condition.score}


def _error(problem: PictureProblem) -> dict[str, object]:
    return {"code": problem.code, "message": str(problem)}


def to_json(
    ranking: Iterable[ImageScore], *, query: Query, model: str, marks: Mapping[int, Mark] | None = None
) -> bytes:
    """A ranking as JSON: the query as typed and as scored, the model's name, the results best first.

    `marks` are those of the images, by `ImageScore.index`.
    """
    return b"".join([*json_chunks(ranking, query=query, model=model, marks=marks), b"\n"])


def json_chunks(
    ranking: Iterable[ImageScore], *, query: Query, model: str, marks: Mapping[int, Mark] | None = None
) -> Iterator[bytes]:
    """`to_json` result by result, so that a long ranking need not be in memory; without the last line break."""
    document = {"query": query.text, "normalized": query.normalized, "model": model, "results": []}
    head, _, tail = encode_json(document, indent=2).rstrip().rpartition(b"[]")
    yield head + b"["
    separator = b""
    for result in ranking:
        encoded = encode_json(record(result, (marks or {}).get(result.index)), indent=2).rstrip(b"\n")
        yield separator + (b"\n" + encoded).replace(b"\n", b"\n    ")
        separator = b","
    yield (b"\n  ]" if separator else b"]") + tail


def encode_json(document: object, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8 and a line break, Chinese unescaped. Undecodable bytes of a file name become JSON escapes."""
    return json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace") + b"\n"


def to_csv(
    ranking: Iterable[ImageScore],
    *,
    query: str = "",
    header: bool = True,
    conditions: Sequence[str] = (),
    marks: Mapping[int, Mark] | None = None,
) -> bytes:
    """The ranking as a table that Excel opens correctly: UTF-8 with a byte order mark, lines ending in CR LF.

    File names and answers are untrusted, so an apostrophe stands before whatever a spreadsheet would run as a formula;
    all other text is exact. `header=False` leaves out the mark and the header row, for appending. `conditions` are the
    parts of the query that get a column each, `marks` those of the images, by `ImageScore.index`.
    """
    return b"".join(csv_chunks(ranking, query=query, header=header, conditions=conditions, marks=marks))


def csv_chunks(
    ranking: Iterable[ImageScore],
    *,
    query: str,
    header: bool,
    conditions: Sequence[str] = (),
    marks: Mapping[int, Mark] | None = None,
) -> Iterator[bytes]:
    """`to_csv` row by row, so that a long ranking need not be in memory."""
    fixed = ("query", *COLUMNS)
    if header:
        headers = (f"{text} (condition)" if text in fixed else text for text in conditions)
        yield _csv_row((*fixed, *map(_text_cell, headers)), "utf-8-sig")
    for result in ranking:
        values = record(result, (marks or {}).get(result.index))
        scores = {condition.text: condition.score for condition in result.conditions if not condition.problem}
        cells = (query, *(values[column] for column in COLUMNS), *map(scores.get, conditions))
        yield _csv_row([_cell(value) for value in cells])


def _csv_row(cells: Sequence[object], encoding: str = "utf-8") -> bytes:
    row = io.StringIO(newline="")
    csv.writer(row, lineterminator="\r\n").writerow(cells)
    return row.getvalue().encode(encoding, "backslashreplace")


def _cell(value: object) -> object:
    match value:
        case float():
            return round(value, 4)
        case str():
            return _text_cell(value)
        case list():
            return " ".join(value)
        case {"code": code, "message": message}:
            return _text_cell(f"{code}: {message}")
    return value


def _text_cell(text: str) -> str:
    return _FORMULA.sub(r"'\g<0>", text.replace("\x00", ""))


def to_zip(ranking: Iterable[ImageScore], sources: Sequence[bytes | Path], top: int, target: BinaryIO) -> list[str]:
    """Write the first `top` scored images, unchanged and named by `ranked_name`, to `target`.

    `sources` are all images in input order, as encoded bytes or paths; files are copied in chunks. Returns the names
    of those that can no longer be read; a text file in the archive lists them with the reasons.
    """
    selected = [result for result in ranking if result.problem is None][:top]
    width = rank_width(len(sources))
    missing: dict[str, str] = {}
    # Stored, not deflated: images are compressed already. Files dated before 1980 exist and must not end the export.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for result in selected:
            name = ranked_name(result, width)
            try:
                _add_to_zip(archive, sources[result.index], name)
            except MissingImageError as error:
                missing[name] = f"{result.name} ({error})"
        if missing:
            text = _MISSING_TEXT + "".join(f"{line}\n" for line in missing.values())
            archive.writestr(_MISSING_FILE, text.encode("utf-8-sig", "backslashreplace"))
    return list(missing)


def _add_to_zip(archive: zipfile.ZipFile, source: bytes | Path, name: str) -> None:
    """Raises MissingImageError; the archive does not list the image then."""
    if isinstance(source, bytes):
        if not source:
            raise MissingImageError("it was not kept")
        archive.writestr(zipfile.ZipInfo(name), source)
        return
    chunks = read_chunks(source)
    first = next(chunks, b"")
    entry = zipfile.ZipInfo.from_file(source, name, strict_timestamps=False)
    try:
        with archive.open(entry, "w") as output:
            output.write(first)
            for chunk in chunks:
                output.write(chunk)
    except MissingImageError:
        archive.infolist().remove(entry)
        raise


def read_chunks(file: Path) -> Iterator[bytes]:
    """The content of an image file. Raises MissingImageError."""
    try:
        check_is_file(file)
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                yield chunk
    except (OSError, ValueError) as error:  # ValueError: no possible name
        raise MissingImageError(getattr(error, "strerror", None) or str(error)) from error


def is_available(source: bytes | Path) -> bool:
    """Whether an image can still be exported, as far as can be said without reading it."""
    try:
        return bool(source) if isinstance(source, bytes) else source.is_file()
    except (OSError, ValueError):
        return False


def check_is_file(file: Path) -> None:
    """Raises MissingImageError where an image file is gone, or became a pipe or a device, which would keep a reader
    waiting; OSError where the system does not tell.
    """
    if not file.is_file():
        raise MissingImageError("it is no regular file any more" if file.exists() else "it is no longer there")


def rank_width(count: int) -> int:
    """The number of digits with which the `ranked_name`s of so many images sort by rank; three at least."""
    return max(3, len(str(count)))


def ranked_name(result: ImageScore, width: int = 3) -> str:
    """A file name like `001_8.6_name.jpg`: unique in its ranking, legal on every system, and sorted by rank.

    width: the digits of the rank, from `rank_width`. Without a rank the position in the input stands for it.
    """
    return _safe_name(f"{result.rank or result.index + 1:0{width}d}_{result.score:.1f}_", result.name)


def ranked_folder(number: int, query: str, count: int = 1) -> str:
    """A name like `01_query` for the folder of one of `count` queries' images, as safe as `ranked_name`."""
    width = max(2, len(str(count)))
    return _safe_name(f"{number:0{width}d}_", query.replace("/", "_").replace("\\", "_").replace(".", "_"))


def _safe_name(prefix: str, name: str) -> str:
    name = PurePosixPath(name.replace("\\", "/")).name
    path = PurePosixPath(_UNSAFE.sub("_", name).rstrip(". ") or "picture")
    stem, suffix = (path.stem, path.suffix) if len(path.suffix) <= _MAX_SUFFIX_LENGTH else (path.name, "")
    max_bytes = _MAX_NAME_BYTES - len((prefix + suffix).encode())
    return prefix + stem.encode()[:max_bytes].decode("utf-8", "ignore").rstrip(". ") + suffix
