"""Every error that this package raises, in one tree.

LycheeError
├── InputError            files, options or other input cannot be used
├── QueryError            the query cannot be scored
├── CheckpointError       weights are missing, damaged or of an unknown kind
│   └── DownloadError     a download did not finish
│       └── DownloadStoppedError   because it was stopped
├── ModelError            the model could not be loaded or could not answer
│   ├── OutOfMemoryError  a device ran out of memory even after its caches were released
│   └── ModelChangedError another model is loaded than the one that made a ranking
├── ServerError           a scoring server refused, stalled or gave an invalid answer
└── StoreError            what is kept on disk cannot be read or deleted

An image that cannot be scored raises nothing: its result holds a `PictureProblem`, so that one bad file never ends a
run. The page turns codes and facts into Chinese or English; `str()` is English.
"""

from __future__ import annotations

from dataclasses import dataclass


class LycheeError(Exception):
    """Base of all errors of this package; its text is one sentence that can be shown to a user."""


class InputError(LycheeError):
    """What the user named, such as files or a table of judgments, cannot be used."""


class QueryError(LycheeError):
    """The query cannot be scored. `code` is "empty" or "punctuation_only" or "too_long"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CheckpointError(LycheeError):
    """Weights are missing, damaged or of an unknown kind."""


class DownloadError(CheckpointError):
    """A download did not finish. What was fetched is kept, and the next attempt continues from there."""


class DownloadStoppedError(DownloadError):
    """The download was stopped on request."""


class ModelError(LycheeError):
    """The model could not be loaded, or failed on an image."""


class OutOfMemoryError(ModelError):
    """A device ran out of memory even after its caches were released."""


class ModelChangedError(ModelError):
    """Another model, or one with other settings, is in use than made a ranking."""

    def __init__(self) -> None:
        super().__init__("Another model is in use now. Rank again to score conditions with it.")


class ServerError(LycheeError):
    """The scoring server refused, stalled or gave an invalid answer."""


class StoreError(LycheeError):
    """What is kept on disk cannot be read or deleted."""


@dataclass(frozen=True)
class PictureProblem:
    """Why an image has no score.

    `code` is one of "not_found", "unreadable", "empty", "not_an_image", "unsupported_kind", "camera_raw", "truncated",
    "too_many_bytes", "too_many_pixels", "bad_dimensions" (found while opening) or "out_of_memory", "model_failed"
    (found while scoring).
    The other fields are facts about it, where there are any: width and height in pixels, size and limit in bytes or
    pixels, and `detail`, the message of the library that failed or the kind of picture that is not supported.
    """

    code: str
    width: int | None = None
    height: int | None = None
    size: int | None = None
    limit: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        return _MESSAGES[self.code].format_map(vars(self))


_MESSAGES = {
    "not_found": "There is no such file.",
    "unreadable": "The file cannot be read: {detail}.",
    "empty": "The file is empty (0 bytes).",
    "not_an_image": "This is not a picture in a format that can be read.",
    "unsupported_kind": "This kind of picture is not supported ({detail}). Save it as PNG or JPEG.",
    "camera_raw": "This camera RAW file is damaged or from a camera that is not supported. Export it as JPEG or TIFF.",
    "truncated": "The picture is damaged or cut short, so it cannot be decoded.",
    "too_many_bytes": "The file has {size} bytes; the limit is {limit}.",
    "too_many_pixels": "The picture has more pixels than the limit of {limit}.",
    "bad_dimensions": "The picture's size, {width} x {height}, makes no sense.",
    "out_of_memory": "There was not enough memory to score this picture, also on a second try.",
    "model_failed": "The model failed on this picture: {detail}.",
}
