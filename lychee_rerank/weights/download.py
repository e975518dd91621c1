"""Fetch a checkpoint from a hub into that hub's cache, where `locate` finds it. Nothing runs by itself."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Thread
from typing import Literal

from filelock import FileLock, Timeout

from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.errors import DownloadError, DownloadStoppedError, LycheeError
from lychee_rerank.weights.cache import Hub
from lychee_rerank.weights.hub import RemoteSnapshot, fetch_listing
from lychee_rerank.weights.locate import DEFAULT_MODEL, Checkpoint
from lychee_rerank.weights.transfer import Progress, Transfer
from lychee_rerank.weights.validate import validate_checkpoint

__all__ = ["Download", "DownloadStatus", "Hub", "Progress", "download"]

logger = logging.getLogger(__name__)

DownloadState = Literal["asking", "fetching", "checking", "done", "stopped", "failed"]


def download(
    repo: str = DEFAULT_MODEL,
    *,
    hub: Hub = "huggingface",
    endpoint: str | None = None,
    report: Callable[[Progress], None] = lambda progress: None,  # noqa: ARG005
    stop: Event | None = None,
) -> Checkpoint:
    """Fetch the files of `repo` that are needed and verify them; `find_checkpoint` finds them afterwards.

    Files already on this machine are verified, not fetched again; after a failure or a stop, the next call continues.
    endpoint: the address of a mirror. report: called in this thread, several times a second.
    Raises InputError for a name or an address that cannot be one, DownloadStoppedError soon after `stop` is set, and
    DownloadError for anything else that goes wrong.
    """
    snapshot = fetch_listing(repo, hub, endpoint)
    folder, download_folder = snapshot.cache.folder, snapshot.cache.download_folder
    try:
        download_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(download_folder / ".lychee-download.lock", timeout=0):  # two would write to the same files
            transfer = Transfer(snapshot)
            _check_disk_space(snapshot, transfer.missing_bytes)
            transfer.run(report, stop or Event())
            snapshot.cache.commit(snapshot.files)
    except Timeout as error:
        raise DownloadError(f'Another download of "{repo}" is running; wait for it or stop it.') from error
    except OSError as error:
        path = error.filename or download_folder
        raise DownloadError(f"{path} cannot be written: {error.strerror or error}.") from error
    if problems := tuple(validate_checkpoint(folder)):
        raise DownloadError(
            f'"{repo}" was fetched whole from {snapshot.host}, but cannot be used: {"; ".join(problems)}.'
        )
    return Checkpoint(folder, repo, hub)


def _check_disk_space(snapshot: RemoteSnapshot, missing_bytes: int) -> None:
    free_bytes = shutil.disk_usage(snapshot.cache.download_folder).free
    if missing_bytes > free_bytes:
        variable = "HF_HOME" if snapshot.hub == "huggingface" else "MODELSCOPE_CACHE"
        raise DownloadError(
            f"The download needs {format_bytes(missing_bytes)} more, and {format_bytes(free_bytes)} are free in "
            f"{snapshot.cache.download_folder}: make room, or name a folder on a larger disk in the environment "
            f"variable {variable}."
        )


@dataclass(frozen=True)
class DownloadStatus:
    """A download at one moment. `progress` is set once the hub has answered, `checkpoint` when it is done."""

    state: DownloadState
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    error: LycheeError | None = None

    @property
    def active(self) -> bool:
        return self.state in ("asking", "fetching", "checking")


class Download:
    """A download in a worker thread, which starts at once. Arguments as for `download`."""

    def __init__(self, repo: str = DEFAULT_MODEL, *, hub: Hub = "huggingface", endpoint: str | None = None) -> None:
        self._stop = Event()
        self._status = DownloadStatus("asking")
        self._thread = Thread(target=self._run, args=(repo, hub, endpoint), name="download", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; what is fetched stays."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the worker has ended."""
        self._thread.join(seconds)

    def status(self) -> DownloadStatus:
        return self._status

    def _run(self, repo: str, hub: Hub, endpoint: str | None) -> None:
        try:
            checkpoint = download(repo, hub=hub, endpoint=endpoint, report=self._report, stop=self._stop)
            self._status = replace(self._status, state="done", checkpoint=checkpoint)
        except DownloadStoppedError:
            self._status = replace(self._status, state="stopped")
        except LycheeError as error:
            self._status = replace(self._status, state="failed", error=error)
        except Exception as error:  # nothing above a worker thread would report it
            logger.exception("The download broke off.")
            self._status = replace(
                self._status, state="failed", error=DownloadError(f"The download broke off: {error}")
            )

    def _report(self, progress: Progress) -> None:
        complete = progress.done_bytes == progress.total_bytes
        self._status = DownloadStatus("checking" if complete else "fetching", progress)
