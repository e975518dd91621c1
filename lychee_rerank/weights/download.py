"""Fetching a checkpoint from a hub into its cache, where `checkpoints` finds it. Nothing here runs by itself."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Literal

from filelock import FileLock, Timeout

from lychee_rerank.errors import DownloadError, DownloadStoppedError, LycheeError
from lychee_rerank.weights.hub import Hub, RemoteSnapshot, fetch_listing
from lychee_rerank.weights.locate import DEFAULT_MODEL, Checkpoint
from lychee_rerank.weights.transfer import Progress, Transfer
from lychee_rerank.weights.validate import validate_checkpoint

__all__ = ["Download", "Progress", "DownloadStatus", "Hub", "download"]

logger = logging.getLogger(__name__)

DownloadState = Literal["asking", "fetching", "checking", "done", "stopped", "failed"]


def download(
    repo: str = DEFAULT_MODEL,
    *,
    source: Hub = "huggingface",
    endpoint: str | None = None,
    report: Callable[[Progress], None] = lambda progress: None,  # noqa: ARG005
    stop: Event | None = None,
) -> Checkpoint:
    """Fetch the files of `repo` that are needed, check them, and let `find_checkpoint` find them.

    What is on this machine already is checked and not fetched again; after a failure or a stop, the next call goes
    on where this one ended. `endpoint` is the address of a mirror. `report` is called in this thread, several times a
    second. Raises InputError where the name or the address cannot be one, DownloadStoppedError soon after `stop` is
    set, DownloadError for anything else that went wrong.
    """
    listing = fetch_listing(repo, source, endpoint)
    try:
        with _alone(listing):
            transfer = Transfer(listing)
            _check_space(listing, transfer.missing)
            transfer.run(report, stop or Event())
            listing.publish()
    except OSError as error:
        where = error.filename or listing.store
        raise DownloadError(f"{where} cannot be written: {error.strerror or error}.", folder=listing.folder) from error
    if problems := tuple(validate_checkpoint(listing.folder)):
        raise DownloadError(
            f'"{repo}" was fetched whole from {listing.host}, but cannot be used: {"; ".join(problems)}.',
            folder=listing.folder,
            problems=problems,
        )
    return Checkpoint(listing.folder, repo, source)


@contextmanager
def _alone(listing: RemoteSnapshot) -> Iterator[None]:
    """Two downloads writing to the same files would spoil them."""
    listing.store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(listing.store / ".lychee-download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DownloadError(f'Another download of "{listing.repo}" is running; wait for it or stop it.') from error
    try:
        yield
    finally:
        lock.release()


def _check_space(listing: RemoteSnapshot, missing: int) -> None:
    free = shutil.disk_usage(listing.store).free
    if missing > free:
        variable = "HF_HOME" if listing.source == "huggingface" else "MODELSCOPE_CACHE"
        raise DownloadError(
            f"The download needs {missing / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free in {listing.store}: "
            f"make room, or name a folder on a larger disk in the environment variable {variable}.",
            folder=listing.folder,
        )


@dataclass(frozen=True)
class DownloadStatus:
    """A download at one moment. `progress` is there once the hub has answered, `checkpoint` when it is done."""

    state: DownloadState
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    error: LycheeError | None = None

    @property
    def active(self) -> bool:
        return self.state in ("asking", "fetching", "checking")


class Download:
    """A download in a worker thread, running from the moment it is made. Arguments as for `download`."""

    def __init__(self, repo: str = DEFAULT_MODEL, *, source: Hub = "huggingface", endpoint: str | None = None) -> None:
        self.repo, self.source, self.endpoint = repo, source, endpoint
        self._stop = Event()
        self._now = DownloadStatus("asking")
        self._thread = Thread(target=self._run, name="download", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; what is fetched stays."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the worker has ended."""
        self._thread.join(seconds)

    def status(self) -> DownloadStatus:
        return self._now

    def _run(self) -> None:
        try:
            found = download(
                self.repo, source=self.source, endpoint=self.endpoint, report=self._report, stop=self._stop
            )
            self._end("done", checkpoint=found)
        except DownloadStoppedError:
            self._end("stopped")
        except LycheeError as error:
            self._end("failed", error=error)
        except Exception as error:  # a worker thread has nobody above it: what nobody foresaw must reach the page too
            logger.exception("The download broke off.")
            self._end("failed", error=DownloadError(f"The download broke off: {error}"))

    def _report(self, progress: Progress) -> None:
        state: DownloadState = "fetching" if progress.done_bytes < progress.total_bytes else "checking"
        self._now = DownloadStatus(state, progress)

    def _end(
        self, state: DownloadState, checkpoint: Checkpoint | None = None, error: LycheeError | None = None
    ) -> None:
        self._now = DownloadStatus(state, self._now.progress, checkpoint, error)
