"""One ranking running in a worker thread: its progress, its results so far, and how to stop it. Knows nothing of the
page.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Generic, Literal, Protocol, TypeVar

from lychee_rerank.errors import LycheeError, OutOfMemoryError
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query
from lychee_rerank.weights.locate import Checkpoint

logger = logging.getLogger(__name__)

State = Literal["loading", "scoring", "explaining", "done", "stopped", "failed"]
_EVENTS_KEPT = 200


class Scores(Protocol):
    """What a job needs of a `Reranker`."""

    @property
    def checkpoint(self) -> Checkpoint: ...
    def stream(self, query: Query, images: Sequence[bytes | Path]) -> Generator[ImageScore]: ...
    def explain(self, query: Query, result: ImageScore, image: bytes | Path) -> ImageScore: ...
    def prompt_text(self, query: Query) -> str: ...


@dataclass(frozen=True)
class Picture:
    """One picture of a job: `key` is its identity (content hash), `source` its bytes or its path."""

    key: str
    name: str
    source: bytes | Path


AnyPicture = TypeVar("AnyPicture", bound=Picture)


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment. `ranking` is what is scored so far, best first; `latest` the newest results, newest last."""

    state: State
    total: int
    ranking: tuple[ImageScore, ...]
    latest: tuple[ImageScore, ...]
    explained: int
    seconds_left: float | None
    stopping: bool
    seconds: float
    error: LycheeError | None

    @property
    def done(self) -> int:
        return len(self.ranking)

    @property
    def active(self) -> bool:
        return self.state in ("loading", "scoring", "explaining")


class Job(Generic[AnyPicture]):
    """Scores `pictures` in the background as soon as it is made. `open_reranker` is called in the worker, since
    loading takes long. `model` is the name of what it opened and `prompt` what that is asked, both "" before.
    """

    def __init__(
        self, query: Query, pictures: Sequence[AnyPicture], open_reranker: Callable[[], Scores], *, explain: bool = True
    ) -> None:
        self.query = query
        self.pictures = tuple(pictures)
        self.started = time.time()
        self.model = self.prompt = ""
        self._open = open_reranker
        self._explain = explain
        self._lock = Lock()
        self._stop = Event()
        self._state: State = "loading"
        self._error: LycheeError | None = None
        self._results: dict[int, ImageScore] = {}
        self._latest: deque[ImageScore] = deque(maxlen=_EVENTS_KEPT)
        self._explained = 0
        self._began = self._ended = time.monotonic()
        self._thread = Thread(target=self._run, name="ranking", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the picture at hand; what is scored stays."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the worker has ended."""
        self._thread.join(seconds)

    def snapshot(self) -> Snapshot:
        with self._lock:
            results, latest, state = list(self._results.values()), tuple(self._latest), self._state
            explained, error = self._explained, self._error
        taken = (self._ended if state in ("done", "stopped", "failed") else time.monotonic()) - self._began
        left = taken / len(results) * (len(self.pictures) - len(results)) if results and state == "scoring" else None
        ranking = tuple(rank(results))
        return Snapshot(state, len(self.pictures), ranking, latest, explained, left, self._stop.is_set(), taken, error)

    def _run(self) -> None:
        try:
            reranker = self._open()
            self.model, self.prompt = reranker.checkpoint.name, reranker.prompt_text(self.query)
            self._enter("scoring")
            self._score(reranker)
            if self._explain and not self._stop.is_set():
                self._enter("explaining")
                self._carry_on(reranker)
            self._enter("stopped" if len(self._results) < len(self.pictures) else "done")
        except LycheeError as error:
            self._fail(error)
        except MemoryError:
            self._fail(OutOfMemoryError("The computer ran out of memory."))
        except Exception as error:  # a worker thread has nobody above it: what nobody foresaw must reach the page too
            logger.exception("The ranking broke off.")
            self._fail(LycheeError(f"The ranking broke off: {error}"))

    def _score(self, reranker: Scores) -> None:
        self._began = self._ended = time.monotonic()
        results = reranker.stream(self.query, [picture.source for picture in self.pictures])
        while not self._stop.is_set() and (result := next(results, None)) is not None:
            named = replace(result, name=self.pictures[result.index].name)
            with self._lock:
                self._results[result.index] = named
                self._latest.append(named)
                self._ended = time.monotonic()
        results.close()

    def _carry_on(self, reranker: Scores) -> None:
        """Reasons, best picture first."""
        for result in self.snapshot().ranking:
            if self._stop.is_set():
                return
            told = reranker.explain(self.query, result, self.pictures[result.index].source)
            with self._lock:
                self._results[result.index] = told
                self._explained += 1

    def _enter(self, state: State) -> None:
        with self._lock:
            self._state = state

    def _fail(self, error: LycheeError) -> None:
        with self._lock:
            self._state, self._error = "failed", error
