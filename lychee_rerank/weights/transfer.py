"""Fetch the bytes of a hub's files: several at once, continued where a connection broke, verified by checksum.

The hub's own library starts a broken file anew: too slow for files of 5 GB over an ordinary line. Requests are made
with its HTTP client, httpx2, which honours proxies of the environment but only retries connecting. urllib3's Retry, as
in vllm/http.py, would not help: it neither continues a body that broke nor can be cancelled while it waits.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Event

import httpx2
from socksio import SOCKSError

from lychee_rerank.errors import DownloadError, DownloadStoppedError
from lychee_rerank.weights.cache import RemoteFile
from lychee_rerank.weights.hub import RemoteSnapshot, http_error_message

logger = logging.getLogger(__name__)

_MAX_CONCURRENCY = 4
_REPORT_INTERVAL_S = 0.25
_SPEED_WINDOW_S = 10
_TIMEOUT_S = 15
_RETRY_PAUSES_S = (0.5, 1, 2, 4, 8, 16, 30)  # before each new try; from the start again after every byte gained
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Progress:
    """How far a download is. `done_bytes` includes what was on the disk before."""

    done_bytes: int
    total_bytes: int
    bytes_per_second: float | None = None
    seconds_left: float | None = None


class Transfer:
    """Fetches the files of one snapshot into the cache."""

    def __init__(self, snapshot: RemoteSnapshot) -> None:
        self._snapshot, self._cache = snapshot, snapshot.cache
        unique = {self._cache.final_path(file): file for file in snapshot.files}  # equal contents are one blob
        self._files = sorted(unique.values(), key=lambda file: file.size)
        self._total_bytes = sum(file.size for file in self._files)
        self._samples = deque([(time.monotonic(), self._done_bytes())])  # for the speed
        self._cancelled = Event()

    @property
    def missing_bytes(self) -> int:
        return self._total_bytes - self._done_bytes()

    def run(self, report: Callable[[Progress], None], stop: Event) -> None:
        """All files, small ones first. Raises DownloadStoppedError soon after `stop` is set, DownloadError, OSError."""
        with (
            httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=True) as client,
            ThreadPoolExecutor(_MAX_CONCURRENCY, thread_name_prefix="download") as pool,
        ):
            pending = {pool.submit(self._download_file, client, file) for file in self._files}
            try:
                while pending:
                    done, pending = wait(pending, _REPORT_INTERVAL_S, FIRST_EXCEPTION)
                    report(self._progress())
                    for future in done:
                        future.result()
                    if stop.is_set():
                        raise DownloadStoppedError("The download was stopped; what was fetched is kept.")
            finally:
                self._cancelled.set()
                pool.shutdown(cancel_futures=True)

    def _done_bytes(self) -> int:
        """Read from the disk. The partial path first: a file that is moved meanwhile is found at its final path."""
        return sum(
            min(file.size, max(_size(self._cache.partial_path(file)), _size(self._cache.existing_path(file))))
            for file in self._files
        )

    def _progress(self) -> Progress:
        now, done = time.monotonic(), self._done_bytes()
        self._samples.append((now, done))
        while self._samples[1][0] < now - _SPEED_WINDOW_S:
            self._samples.popleft()
        start, before = self._samples[0]
        if done <= before or now <= start:
            return Progress(done, self._total_bytes)
        speed = (done - before) / (now - start)
        return Progress(done, self._total_bytes, speed, (self._total_bytes - done) / speed)

    def _download_file(self, client: httpx2.Client, file: RemoteFile) -> None:
        if existing := self._cache.existing_path(file):
            if self._verify(file, existing):
                return
            logger.warning("%s on this machine is damaged or outdated, so it is fetched anew.", file.name)
            existing.unlink()
            self._cache.final_path(file).unlink(missing_ok=True)
        partial = self._cache.partial_path(file)
        try:
            self._download_with_retries(client, file, partial)
        except _SizeMismatchError as error:
            partial.unlink()
            raise DownloadError(
                f"{self._snapshot.host} lists {file.name} with {file.size} bytes and sends {error}, so it cannot be "
                "trusted: try again later, or fetch from elsewhere."
            ) from error
        if not self._verify(file, partial):
            partial.unlink()
            raise DownloadError(
                f"{file.name} arrived damaged: its checksum is not the one that {self._snapshot.host} names. It was "
                "deleted; try again to fetch it anew, or from elsewhere."
            )
        partial.replace(self._cache.final_path(file))

    def _download_with_retries(self, client: httpx2.Client, file: RemoteFile, partial: Path) -> None:
        """Request what is missing until nothing is, with growing pauses while no bytes arrive."""
        partial.touch()
        pauses, largest = iter(_RETRY_PAUSES_S), 0
        while _size(partial) < file.size:
            try:
                self._append_missing(client, file, partial)
                reason = "it ended early"
            except (httpx2.RequestError, SOCKSError) as error:
                reason = str(error) or type(error).__name__
            if _size(partial) >= file.size:
                return
            if _size(partial) > largest:
                pauses, largest = iter(_RETRY_PAUSES_S), _size(partial)
            if (seconds := next(pauses, None)) is None:
                raise DownloadError(
                    f"The connection to {self._snapshot.host} keeps breaking off ({reason}): check it and try again; "
                    "what was fetched is kept."
                )
            logger.debug("%s broke off (%s); continuing in %s s.", file.name, reason, seconds)
            self._cancelled.wait(seconds)
            self._raise_if_cancelled()

    def _append_missing(self, client: httpx2.Client, file: RemoteFile, partial: Path) -> None:
        size = _size(partial)
        headers = {**self._snapshot.headers, "Accept-Encoding": "identity", "Range": f"bytes={size}-"}
        with client.stream("GET", file.url, headers=headers) as response, partial.open("r+b") as output:
            self._check_response(response, file)
            start = size if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0  # some servers have no ranges
            output.truncate(start)
            output.seek(start)
            for chunk in response.iter_raw():
                self._raise_if_cancelled()
                if output.tell() + len(chunk) > file.size:
                    raise _SizeMismatchError("more")
                output.write(chunk)

    def _check_response(self, response: httpx2.Response, file: RemoteFile) -> None:
        status, headers = response.status_code, response.headers
        if status in _TRANSIENT_STATUSES:
            raise httpx2.RequestError(f"it answers {status}")  # retried like a broken connection
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _SizeMismatchError("fewer")
        if not response.is_success:
            hub, host, requested = self._snapshot.hub, self._snapshot.host, f'"{self._snapshot.repo}" ({file.name})'
            raise DownloadError(http_error_message(hub, host, requested, status, headers.get("X-Error-Code", "")))
        total = headers.get("Content-Range", headers.get("Content-Length", "")).rpartition("/")[2]
        if total.isdecimal() and int(total) != file.size:
            raise _SizeMismatchError(total)

    def _verify(self, file: RemoteFile, path: Path) -> bool:
        """Whether the file at `path` has the size and, where the hub gives one, the checksum that are listed."""
        if _size(path) != file.size or not file.checksum:
            return _size(path) == file.size
        is_git = len(file.checksum) == 40
        digest = hashlib.sha1(b"blob %d\0" % file.size) if is_git else hashlib.sha256()
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                self._raise_if_cancelled()
                digest.update(chunk)
        return digest.hexdigest() == file.checksum

    def _raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise DownloadStoppedError("The download was stopped.")


class _SizeMismatchError(Exception):
    """The server sends another number of bytes than the hub lists."""


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path else 0
    except (FileNotFoundError, NotADirectoryError):
        return 0
