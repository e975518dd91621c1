"""Every error this package raises, in one tree, each carrying the facts a caller needs to act on it.

LycheeError
├── InputError            what was named (files, options, judgements) cannot be used
├── QueryError            the sentence cannot be used
├── CheckpointError       weights are missing, damaged or of an unknown kind
│   └── DownloadError     fetching weights did not finish
│       └── DownloadStoppedError   because it was asked to stop
├── ModelError            the model could not be loaded or could not answer
│   └── OutOfMemoryError  a device ran out of memory, also after giving back what it could
├── ServerError           a remote scoring server refused, stalled or answered nonsense
└── JournalError          what was scored before cannot be read or kept

A picture that cannot be used raises nothing: it is described by a `PictureProblem`, which travels in the result,
so that one bad file never ends a run. The page turns codes and facts into Chinese or English; `str()` is English.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class LycheeError(Exception):
    """Base of everything raised on purpose; its text is one sentence fit to show to a person."""


class InputError(LycheeError):
    """What a person named, such as files or a table of judgements, cannot be used as it is."""


class QueryError(LycheeError):
    """The query cannot be scored. `code` is "empty" or "punctuation_only" or "too_long"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CheckpointError(LycheeError):
    """A checkpoint folder cannot be used. `folder` is where, `problems` one sentence for each thing that is wrong."""

    def __init__(self, message: str, *, folder: Path | None = None, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.folder = folder
        self.problems = problems


class DownloadError(CheckpointError):
    """Fetching weights did not finish; what was fetched stays and the next attempt goes on from there."""


class DownloadStoppedError(DownloadError):
    """It was asked to stop."""


class ModelError(LycheeError):
    """The model could not be loaded, or failed while answering."""


class OutOfMemoryError(ModelError):
    """A device ran out of memory even after unused memory was given back. `device` names it."""

    def __init__(self, message: str, *, device: str = "") -> None:
        super().__init__(message)
        self.device = device


class ServerError(LycheeError):
    """A remote scoring server refused, stalled or gave an answer that cannot be used."""

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status


class JournalError(LycheeError):
    """The journal of a ranking cannot be used: another run has it open, or its place cannot be written to."""


@dataclass(frozen=True)
class PictureProblem:
    """Why one picture has no score.

    `code` is one of "not_found", "unreadable", "empty", "not_an_image", "truncated", "too_many_bytes",
    "too_many_pixels", "bad_dimensions" (found while opening) or "out_of_memory", "model_failed" (found while scoring).
    The other fields are the facts behind it, where there are any: width and height in pixels, sizes and the limit in
    bytes or pixels, and `detail`, the words of the library that gave up.
    """

    code: str
    width: int | None = None
    height: int | None = None
    size: int | None = None
    limit: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        return _SENTENCES[self.code].format(
            width=self.width, height=self.height, size=self.size, limit=self.limit, detail=self.detail
        )


_SENTENCES = {
    "not_found": "There is no such file.",
    "unreadable": "The file cannot be read: {detail}.",
    "empty": "The file is empty (0 bytes).",
    "not_an_image": "This is not a picture in a format that can be read.",
    "truncated": "The picture is damaged or cut short, so it cannot be decoded.",
    "too_many_bytes": "The file has {size} bytes; the limit is {limit}.",
    "too_many_pixels": "The picture has more pixels than the limit of {limit}.",
    "bad_dimensions": "The picture's size, {width} x {height}, makes no sense.",
    "out_of_memory": "There was not enough memory to score this picture, also on a second try.",
    "model_failed": "The model failed on this picture: {detail}.",
}
