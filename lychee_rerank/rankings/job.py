"""Job: one ranking in a worker thread, with its progress, its results so far, and a way to stop it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import Any, Literal, Self

from lychee_rerank.errors import LycheeError, OutOfMemoryError
from lychee_rerank.images.files import UnusableImageError, read_image
from lychee_rerank.rankings.archive import Archive, LibraryImage
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, rank
from lychee_rerank.text.query import Query

logger = logging.getLogger(__name__)

JobState = Literal["loading", "scoring", "explaining", "done", "stopped", "failed"]
_MAX_LATEST = 200


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
    explained: int = 0
    seconds_left: float | None = None
    stopping: bool = False
    seconds: float = 0.0
    error: LycheeError | None = None

    @classmethod
    def of(cls, state: JobState, total: int, results: Sequence[ImageScore], **facts: Any) -> Self:
        """`results`: in the order they came."""
        return cls(state, total, tuple(rank(results)), tuple(results[-_MAX_LATEST:]), **facts)

    @property
    def done(self) -> int:
        return len(self.ranking)

    @property
    def active(self) -> bool:
        return self.state in ("loading", "scoring", "explaining")


class Job:
    """Scores `images` in the background, from its construction on; what has a score in the archive is not scored again.

    `open_reranker` is called in the worker thread, because loading a model takes long. `id` is the ranking's in the
    archive, `model` the name of the model that was loaded and `prompt` the whole prompt; both are "" until then.
    """

    def __init__(
        self,
        query: Query,
        images: Sequence[LibraryImage],
        open_reranker: Callable[[], tuple[Reranker, ScoringOptions]],
        archive: Archive,
        *,
        explain: bool = True,
    ) -> None:
        self.query = query
        self.images = tuple(images)
        self.started = time.time()
        self.model = self.prompt = ""
        self._record = archive.add_ranking(query, self.images, self.started)
        self.id = self._record.id
        self._store = archive.store
        self._open_reranker = open_reranker
        self._explain = explain
        self._lock = Lock()
        self._stop = Event()
        self._state: JobState = "loading"
        self._error: LycheeError | None = None
        self._results: dict[int, ImageScore] = {}  # by index, in the order they came
        self._scored = self._explained = 0
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
            results, scored, explained = list(self._results.values()), self._scored, self._explained
            state, error = self._state, self._error
        end = self._scoring_ended if state in ("done", "stopped", "failed") else time.monotonic()
        seconds, total = end - self._scoring_started, len(self.images)
        # Results that were kept from before take no time, so they say nothing about the rest.
        left = seconds / scored * (total - len(results)) if scored and state == "scoring" else None
        return JobStatus.of(
            state,
            total,
            results,
            explained=explained,
            seconds_left=left,
            stopping=self._stop.is_set(),
            seconds=seconds,
            error=error,
        )

    def _run(self) -> None:
        try:
            reranker, options = self._open_reranker()
            self.model = reranker.checkpoint.name
            self.prompt = reranker.prompt_text(self.query, options=options)
            sources = [NamedSource(image.name, image.source) for image in self.images]
            run = ResumableRun(reranker, [self.query], sources, self._store, options=options)
            self._record.start(self.model, self.prompt, run.settings)
            self._set_state("scoring")
            self._score(run)
            if self._explain and not self._stop.is_set():
                self._set_state("explaining")
                self._complete_answers(reranker, options, run)
            self._set_state("stopped" if len(self._results) < len(self.images) else "done")
        except LycheeError as error:
            self._set_state("failed", error)
        except MemoryError:
            self._set_state("failed", OutOfMemoryError("The computer ran out of memory."))
        except Exception as error:  # nothing catches errors of a thread: without this the page would wait forever
            logger.exception("The ranking broke off.")
            self._set_state("failed", LycheeError(f"The ranking broke off: {error}"))

    def _score(self, run: ResumableRun) -> None:
        self._scoring_started = self._scoring_ended = time.monotonic()
        with closing(iter(run)) as results:
            while not self._stop.is_set() and (indexed := next(results, None)) is not None:
                _, result = indexed
                image = self.images[result.index]
                result = replace(result, problem=image.problem or result.problem)
                if result.problem or run.keys[result.index] != image.key:
                    self._record.add_exception(result.index, run.keys[result.index], result.problem)
                with self._lock:
                    self._results[result.index] = result
                    self._scored = run.scored
                    self._scoring_ended = time.monotonic()
        if len(self._results) == len(self.images):
            self._record.end(self._scoring_ended - self._scoring_started)

    def _complete_answers(self, reranker: Reranker, options: ScoringOptions, run: ResumableRun) -> None:
        """Complete the answers with their reasons, best image first."""
        for result in self.status().ranking:
            if self._stop.is_set():
                return
            explained = self._complete_answer(reranker, options, run.keys[result.index], result)
            if explained is not result:
                run.update(explained)
            with self._lock:
                self._results[result.index] = explained
                self._explained += 1

    def _complete_answer(self, reranker: Reranker, options: ScoringOptions, key: str, result: ImageScore) -> ImageScore:
        """Leaves an answer as it is where its file, which `key` identifies, is no longer the one that was scored."""
        if result.finished or result.problem:
            return result
        try:
            encoded = read_image(self.images[result.index].source)
        except UnusableImageError:
            return result
        if encoded.content_hash != key:
            return result
        return reranker.explain(self.query, result, encoded, options=options)

    def _set_state(self, state: JobState, error: LycheeError | None = None) -> None:
        with self._lock:
            self._state, self._error = state, error
