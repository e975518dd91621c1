"""A finished ranking as CSV, JSON or a ZIP of its best pictures. Pure: results in, bytes out.

Fields of one result, the same in JSON (`record`), JSON Lines and CSV, and kept stable:

    rank         place in the ranking, from 1; null before ranking
    score        0.0 to 10.0; null (an empty cell) where the picture could not be scored
    name         the file's name or path, as the caller gave it
    method       "generate" or "yes_no"
    probability  chance of "yes", 0 to 1; null with method "generate"
    tier         "primary", "fallback" or "default": how sure the reading of the answer is; null with "yes_no"
    answer       the model's words
    notes        codes of what was done to the picture while opening it
    error        null, or why there is no score: its code and, in CSV after a colon, one sentence
    seconds      time spent on this picture
    index        place in the input, from 0

CSV puts the query in front of these, so that tables of several queries can be joined.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lychee_rerank.results import ImageScore

Source = bytes | str | Path

COLUMNS = ("rank", "score", "name", "method", "probability", "tier", "answer", "notes", "error", "seconds", "index")

# What a spreadsheet takes for the start of a formula, full-width forms (typed with a Chinese keyboard) included.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Forbidden in Windows names, control characters, and the marks that turn the direction of writing (to hide an ending).
_UNSAFE = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_LONGEST_NAME = 200  # bytes in UTF-8: every file system takes 255, and a path around it needs room too
_LONGEST_SUFFIX = 10


def record(result: ImageScore) -> dict[str, object]:
    """One result as plain JSON values, in the order and meaning of this module's docstring."""
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


def document(
    ranking: Iterable[ImageScore], *, query: str = "", normalized: str = "", model: str = ""
) -> dict[str, object]:
    """A ranking as plain JSON values: the query as typed and as scored, the model's name, the results best first."""
    results = [record(result) for result in ranking]
    return {"query": query, "normalized": normalized, "model": model, "results": results}


def to_json(ranking: Iterable[ImageScore], *, query: str = "", normalized: str = "", model: str = "") -> bytes:
    """The ranking's `document` as JSON in UTF-8."""
    return encode_json(document(ranking, query=query, normalized=normalized, model=model), indent=2) + b"\n"


def encode_json(document: object, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8 with Chinese left readable. A file name that is no valid text becomes a JSON escape."""
    return json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")


def to_csv(ranking: Iterable[ImageScore], *, query: str = "", header: bool = True) -> bytes:
    """The ranking as a table that Excel opens as it is: UTF-8 with its mark, lines ending in CR LF.

    File names and answers come from strangers, so a text cell that a spreadsheet would run as a formula gets an
    apostrophe in front; cells that hold numbers and all other text are exact (and JSON is exact always).
    `header=False` leaves out the mark and the head line, to go below a table written before.
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


def to_zip(
    ranking: Iterable[ImageScore], sources: Sequence[Source] | Mapping[int, Source], top: int, target: BinaryIO
) -> int:
    """Writes the first `top` scored pictures, unchanged and named by `ranked_name`, to `target`; gives their count.

    `sources[result.index]` is a picture's encoded bytes or path. Files are copied in pieces, so memory does not grow.
    Raises OSError where a picture can no longer be read.
    """
    chosen = [result for result in ranking if result.problem is None][:top]
    # Stored, not deflated: pictures are compressed already. Dates before 1980 exist and must not end the export.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for result in chosen:
            source = sources[result.index]
            if isinstance(source, bytes):
                archive.writestr(zipfile.ZipInfo(ranked_name(result)), source)
            else:
                archive.write(source, ranked_name(result))
    return len(chosen)


def ranked_name(result: ImageScore) -> str:
    """The name `001_8.6_name.jpg`: sorts by rank, is legal on every system, stays in its folder.

    The rank in front keeps pictures of the same name apart. An unranked result counts by its place in the input.
    """
    return _safe_name(f"{result.rank or result.index + 1:03d}_{result.score:.1f}_", result.name)


def ranked_folder(number: int, query: str) -> str:
    """The name `01_query` for the folder that holds one query's pictures, as safe as `ranked_name`."""
    return _safe_name(f"{number:02d}_", query.replace("/", "_").replace("\\", "_").replace(".", "_"))


def _safe_name(prefix: str, name: str) -> str:
    name = PurePosixPath(name.replace("\\", "/")).name
    stem, suffix = _split(_UNSAFE.sub("_", name).rstrip(". "))
    return prefix + _cut(stem, _LONGEST_NAME - len(prefix) - len(suffix.encode())) + suffix


def _split(name: str) -> tuple[str, str]:
    suffix = PurePosixPath(name).suffix
    if not suffix or len(suffix) > _LONGEST_SUFFIX:
        return name or "picture", ""
    return name[: -len(suffix)], suffix


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode("utf-8", "ignore").rstrip(". ")
