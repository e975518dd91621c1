"""Job: one ranking in a worker thread, with its progress, its results so far, and a way to stop it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Generic, Literal, TypeVar

from lychee_rerank.errors import LycheeError, OutOfMemoryError
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query

logger = logging.getLogger(__name__)

JobState = Literal["loading", "scoring", "explaining", "done", "stopped", "failed"]
_MAX_LATEST = 200


@dataclass(frozen=True)
class JobImage:
    """One image of a job: `key` identifies it (the hash of its content), `source` is its bytes or its path."""

    key: str
    name: str
    source: bytes | Path


AnyJobImage = TypeVar("AnyJobImage", bound=JobImage)


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment.

    `ranking` holds the results so far, best first; `latest` the newest of them, newest last; `explained` counts the
    answers completed after scoring. `seconds` is the time spent scoring, `seconds_left` an estimate of the rest.
    """

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
    """Scores `images` in the background, from its construction on.

    `open_reranker` is called in the worker thread, because loading a model takes long. `model` is the name of the
    model it loaded and `prompt` the whole prompt; both are "" until then.
    """

    def __init__(
        self,
        query: Query,
        images: Sequence[AnyJobImage],
        open_reranker: Callable[[], tuple[Reranker, ScoringOptions]],
        *,
        explain: bool = True,
    ) -> None:
        self.query = query
        self.images = tuple(images)
        self.started = time.time()
        self.model = self.prompt = ""
        self._open_reranker = open_reranker
        self._explain = explain
        self._lock = Lock()
        self._stop = Event()
        self._state: JobState = "loading"
        self._error: LycheeError | None = None
        self._results: dict[int, ImageScore] = {}  # by index, in the order they came
        self._explained = 0
        self._scoring_started = self._scoring_ended = time.monotonic()
        self._thread = Thread(target=self._run, name="ranking", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current image; results so far stay."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Block until the worker has ended, or for so many seconds."""
        self._thread.join(seconds)

    def status(self) -> JobStatus:
        with self._lock:
            results, explained = list(self._results.values()), self._explained
            state, error = self._state, self._error
        end = self._scoring_ended if state in ("done", "stopped", "failed") else time.monotonic()
        seconds, total = end - self._scoring_started, len(self.images)
        left = seconds / len(results) * (total - len(results)) if results and state == "scoring" else None
        ranking, latest = tuple(rank(results)), tuple(results[-_MAX_LATEST:])
        return JobStatus(state, total, ranking, latest, explained, left, self._stop.is_set(), seconds, error)

    def _run(self) -> None:
        try:
            reranker, options = self._open_reranker()
            self.model = reranker.checkpoint.name
            self.prompt = reranker.prompt_text(self.query, options=options)
            self._set_state("scoring")
            self._score(reranker, options)
            if self._explain and not self._stop.is_set():
                self._set_state("explaining")
                self._complete_answers(reranker, options)
            self._set_state("stopped" if len(self._results) < len(self.images) else "done")
        except LycheeError as error:
            self._set_state("failed", error)
        except MemoryError:
            self._set_state("failed", OutOfMemoryError("The computer ran out of memory."))
        except Exception as error:  # nothing catches errors of a thread: without this the page would wait forever
            logger.exception("The ranking broke off.")
            self._set_state("failed", LycheeError(f"The ranking broke off: {error}"))

    def _score(self, reranker: Reranker, options: ScoringOptions) -> None:
        self._scoring_started = self._scoring_ended = time.monotonic()
        results = reranker.stream(self.query, [image.source for image in self.images], options=options)
        while not self._stop.is_set() and (result := next(results, None)) is not None:
            result = replace(result, name=self.images[result.index].name)
            with self._lock:
                self._results[result.index] = result
                self._scoring_ended = time.monotonic()
        results.close()

    def _complete_answers(self, reranker: Reranker, options: ScoringOptions) -> None:
        """Complete the answers with their reasons, best image first."""
        for result in self.status().ranking:
            if self._stop.is_set():
                return
            explained = reranker.explain(self.query, result, self.images[result.index].source, options=options)
            with self._lock:
                self._results[result.index] = explained
                self._explained += 1

    def _set_state(self, state: JobState, error: LycheeError | None = None) -> None:
        with self._lock:
            self._state, self._error = state, error
