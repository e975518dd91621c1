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
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query
from lychee_rerank.weights.locate import Checkpoint

logger = logging.getLogger(__name__)

JobState = Literal["loading", "scoring", "explaining", "done", "stopped", "failed"]
_EVENTS_KEPT = 200


class SupportsRanking(Protocol):
    """What a job needs of a `Reranker`."""

    @property
    def checkpoint(self) -> Checkpoint: ...
    def stream(
        self, query: Query, images: Sequence[bytes | Path], *, options: ScoringOptions
    ) -> Generator[ImageScore]: ...
    def explain(
        self, query: Query, result: ImageScore, image: bytes | Path, *, options: ScoringOptions
    ) -> ImageScore: ...
    def prompt_text(self, query: Query, *, options: ScoringOptions) -> str: ...


@dataclass(frozen=True)
class JobImage:
    """One picture of a job: `key` is its identity (content hash), `source` its bytes or its path."""

    key: str
    name: str
    source: bytes | Path


AnyJobImage = TypeVar("AnyJobImage", bound=JobImage)


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment. `ranking` is what is scored so far, best first; `latest` the newest results, newest last."""

    state: JobState
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


class Job(Generic[AnyJobImage]):
    """Scores `pictures` in the background as soon as it is made. `open_reranker` is called in the worker, since
    loading takes long. `model` is the name of what it opened and `prompt` what that is asked, both "" before.
    """

    def __init__(
        self,
        query: Query,
        images: Sequence[AnyJobImage],
        open_reranker: Callable[[], tuple[SupportsRanking, ScoringOptions]],
        *,
        explain: bool = True,
    ) -> None:
        self.query = query
        self.images = tuple(images)
        self.started = time.time()
        self.model = self.prompt = ""
        self._open = open_reranker
        self._explain = explain
        self._lock = Lock()
        self._stop = Event()
        self._state: JobState = "loading"
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

    def status(self) -> JobStatus:
        with self._lock:
            results, latest, state = list(self._results.values()), tuple(self._latest), self._state
            explained, error = self._explained, self._error
        taken = (self._ended if state in ("done", "stopped", "failed") else time.monotonic()) - self._began
        left = taken / len(results) * (len(self.images) - len(results)) if results and state == "scoring" else None
        ranking = tuple(rank(results))
        return JobStatus(state, len(self.images), ranking, latest, explained, left, self._stop.is_set(), taken, error)

    def _run(self) -> None:
        try:
            reranker, options = self._open()
            self.model = reranker.checkpoint.name
            self.prompt = reranker.prompt_text(self.query, options=options)
            self._set_state("scoring")
            self._score(reranker, options)
            if self._explain and not self._stop.is_set():
                self._set_state("explaining")
                self._complete_answers(reranker, options)
            self._set_state("stopped" if len(self._results) < len(self.images) else "done")
        except LycheeError as error:
            self._fail(error)
        except MemoryError:
            self._fail(OutOfMemoryError("The computer ran out of memory."))
        except Exception as error:  # a worker thread has nobody above it: what nobody foresaw must reach the page too
            logger.exception("The ranking broke off.")
            self._fail(LycheeError(f"The ranking broke off: {error}"))

    def _score(self, reranker: SupportsRanking, options: ScoringOptions) -> None:
        self._began = self._ended = time.monotonic()
        results = reranker.stream(self.query, [image.source for image in self.images], options=options)
        while not self._stop.is_set() and (result := next(results, None)) is not None:
            named = replace(result, name=self.images[result.index].name)
            with self._lock:
                self._results[result.index] = named
                self._latest.append(named)
                self._ended = time.monotonic()
        results.close()

    def _complete_answers(self, reranker: SupportsRanking, options: ScoringOptions) -> None:
        """Reasons, best picture first."""
        for result in self.status().ranking:
            if self._stop.is_set():
                return
            complete = reranker.explain(self.query, result, self.images[result.index].source, options=options)
            with self._lock:
                self._results[result.index] = complete
                self._explained += 1

    def _set_state(self, state: JobState) -> None:
        with self._lock:
            self._state = state

    def _fail(self, error: LycheeError) -> None:
        with self._lock:
            self._state, self._error = "failed", error
