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

CSV has the query as its first column, so that tables of several queries can be joined.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query

COLUMNS = ("rank", "score", "name", "method", "probability", "tier", "answer", "notes", "error", "seconds", "index")

# What a spreadsheet reads as the start of a formula, including full-width forms (from Chinese keyboards).
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Forbidden in Windows names, control characters, and bidirectional marks (they can disguise a suffix).
_UNSAFE = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_MAX_NAME_BYTES = 200  # in UTF-8; file systems allow 255
_MAX_SUFFIX_LENGTH = 10


def record(result: ImageScore) -> dict[str, object]:
    """One result as plain JSON values, as this module's docstring lists them."""
    problem = result.problem
    return {
        "rank": result.rank,
        "score": None if problem else result.score,
        "name": result.name,
        "method": result.method,
        "probability": result.probability,
        "tier": result.parsed.tier if result.parsed else None,
        "answer": result.answer,
        "notes": list(result.notes),
        "error": {"code": problem.code, "message": str(problem)} if problem else None,
        "seconds": round(result.seconds, 4),
        "index": result.index,
    }


def to_json(ranking: Iterable[ImageScore], *, query: Query, model: str) -> bytes:
    """A ranking as JSON: the query as typed and as scored, the model's name, the results best first."""
    document = {"query": query.text, "normalized": query.normalized, "model": model}
    return encode_json(document | {"results": [record(result) for result in ranking]}, indent=2)


def encode_json(document: object, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8 and a line break, Chinese unescaped. Undecodable bytes of a file name become JSON escapes."""
    return json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace") + b"\n"


def to_csv(ranking: Iterable[ImageScore], *, query: str = "", header: bool = True) -> bytes:
    """The ranking as a table that Excel opens correctly: UTF-8 with a byte order mark, lines ending in CR LF.

    File names and answers are untrusted, so a text cell that a spreadsheet would run as a formula gets an apostrophe
    in front; all other cells are exact. `header=False` leaves out the mark and the header row, for appending.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    if header:
        writer.writerow(("query", *COLUMNS))
    for result in ranking:
        writer.writerow([_text_cell(query), *(_cell(value) for value in record(result).values())])
    return table.getvalue().encode("utf-8-sig" if header else "utf-8", "backslashreplace")


def _cell(value: object) -> object:
    match value:
        case float():
            return round(value, 4)
        case str():
            return _text_cell(value)
        case list():
            return " ".join(value)
        case {"code": code, "message": message}:
            return f"{code}: {message}"
    return value


def _text_cell(text: str) -> str:
    text = text.replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def to_zip(ranking: Iterable[ImageScore], sources: Sequence[bytes | Path], top: int, target: BinaryIO) -> None:
    """Write the first `top` scored images, unchanged and named by `ranked_name`, to `target`.

    `sources` are all images in input order, as encoded bytes or paths; files are copied in chunks. Raises OSError
    where an image can no longer be read.
    """
    selected = [result for result in ranking if result.problem is None][:top]
    # Stored, not deflated: images are compressed already. Files dated before 1980 exist and must not end the export.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for result in selected:
            source = sources[result.index]
            if isinstance(source, bytes):
                archive.writestr(zipfile.ZipInfo(ranked_name(result)), source)
            else:
                archive.write(source, ranked_name(result))


def ranked_name(result: ImageScore) -> str:
    """A file name like `001_8.6_name.jpg`: sorts by rank, is unique in its ranking and legal on every system.

    Without a rank the position in the input stands for it.
    """
    return _safe_name(f"{result.rank or result.index + 1:03d}_{result.score:.1f}_", result.name)


def ranked_folder(number: int, query: str) -> str:
    """A name like `01_query` for the folder of one query's images, as safe as `ranked_name`."""
    return _safe_name(f"{number:02d}_", query.replace("/", "_").replace("\\", "_").replace(".", "_"))


def _safe_name(prefix: str, name: str) -> str:
    name = PurePosixPath(name.replace("\\", "/")).name
    path = PurePosixPath(_UNSAFE.sub("_", name).rstrip(". ") or "picture")
    stem, suffix = (path.stem, path.suffix) if len(path.suffix) <= _MAX_SUFFIX_LENGTH else (path.name, "")
    max_bytes = _MAX_NAME_BYTES - len((prefix + suffix).encode())
    return prefix + stem.encode()[:max_bytes].decode("utf-8", "ignore").rstrip(". ") + suffix
