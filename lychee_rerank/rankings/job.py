"""Job: one ranking in a worker thread, with its progress, its results so far, and a way to stop it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from threading import Event, Lock, Thread

from lychee_rerank.errors import LycheeError, ModelChangedError, OutOfMemoryError
from lychee_rerank.images.files import UnusableImageError, read_image
from lychee_rerank.rankings.archive import Archive, LibraryImage
from lychee_rerank.rankings.condition_scores import score_conditions
from lychee_rerank.rankings.job_status import ENDED, JobState, JobStatus
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.rankings.store import score_settings
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.text.query import Query

logger = logging.getLogger(__name__)

CONDITIONS_TOP = 12  # images whose conditions are scored unasked


class Job:
    """Scores `images` in the background, from its construction on; what has a score in the archive is not scored again.

    `open_reranker` is called in the worker thread, because loading a model takes long. `id` is the ranking's in the
    archive, `model` the name of the model that was loaded and `prompt` the whole prompt; both are "" until then.
    `conditions` are the parts of the query, known once it has been scored.
    """

    def __init__(
        self,
        query: Query,
        images: Sequence[LibraryImage],
        open_reranker: Callable[[], tuple[Reranker, ScoringOptions]],
        archive: Archive,
        *,
        explain: bool = True,
        score_conditions: bool = True,
    ) -> None:
        self.query = query
        self.images = tuple(images)
        self.started = time.time()
        self.model = self.prompt = ""
        self.conditions: tuple[str, ...] = ()
        self._record = archive.add_ranking(query, self.images, self.started)
        self.id = self._record.id
        self._store = archive.store
        self._open_reranker = open_reranker
        self._explain = explain
        self._condition_images = CONDITIONS_TOP if score_conditions else 0
        self._lock = Lock()
        self._stop = Event()
        self._state: JobState = "loading"
        self._error: LycheeError | None = None
        self._results: dict[int, ImageScore] = {}  # by index, in the order they came
        self._keys: list[str] = []  # the content that was scored, by index
        self._near_duplicates: tuple[tuple[int, ...], ...] = ()
        self._requested: list[int] = []  # images whose conditions are to be scored
        self._scored = self._explained = self._condition_scores = self._condition_scores_total = 0
        self._scoring_started = self._scoring_ended = time.monotonic()
        self._settings = ""
        self._start(self._rank)

    @property
    def active(self) -> bool:
        return self._state not in ENDED

    @property
    def can_score_conditions(self) -> bool:
        """Whether `request_conditions` has anything to do."""
        return len(self.conditions) > 1 and self._state != "failed"

    def request_conditions(self, indices: Sequence[int]) -> None:
        """Score the conditions of further images, after what runs now."""
        with self._lock:
            self._requested += [index for index in indices if index not in self._requested]
            if self._state not in ENDED:
                return
            self._state, self._error = "conditions", None
        self._stop.clear()
        self._start(self._run_requests)

    def stop(self) -> None:
        """Stop after the current image; results so far stay."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Block until the worker has ended, or for so many seconds."""
        self._thread.join(seconds)

    def status(self) -> JobStatus:
        with self._lock:
            results, scored, state = list(self._results.values()), self._scored, self._state
            end = time.monotonic() if state == "scoring" else self._scoring_ended
            seconds, total = end - self._scoring_started, len(self.images)
            # Results that were kept from before take no time, so they say nothing about the rest.
            left = seconds / scored * (total - len(results)) if scored and state == "scoring" else None
            return JobStatus.of(
                state,
                total,
                results,
                near_duplicates=self._near_duplicates,
                explained=self._explained,
                condition_scores=self._condition_scores,
                condition_scores_total=self._condition_scores_total,
                seconds_left=left,
                stopping=self._stop.is_set(),
                seconds=seconds,
                error=self._error,
            )

    def _start(self, work: Callable[[], None]) -> None:
        self._thread = Thread(target=self._run, args=(work,), name="ranking", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        """Whatever `work` raises ends up in the status."""
        try:
            work()
        except LycheeError as error:
            self._fail(error)
        except MemoryError:
            self._fail(OutOfMemoryError("The computer ran out of memory."))
        except Exception as error:  # nothing catches errors of a thread: without this the page would wait forever
            logger.exception("The ranking broke off.")
            self._fail(LycheeError(f"The ranking broke off: {error}"))

    def _rank(self) -> None:
        reranker, options = self._open_reranker()
        self.model = reranker.checkpoint.name
        self.prompt = reranker.prompt_text(self.query, options=options)
        sources = [NamedSource(image.name, image.source) for image in self.images]
        run = ResumableRun(reranker, [self.query], sources, self._store, options=options)
        self._keys, (self._settings,) = run.keys, run.settings
        self._record.start(self.model, self.prompt, self._settings)
        self._set_state("scoring")
        self._score(run)
        self._find_near_duplicates(reranker, options)
        self.conditions = split_conditions(self.query.text)
        self._requested += [result.index for result in self.status().ranking[: self._condition_images]]
        self._score_requested(reranker, options)
        if self._explain and not self._stop.is_set():
            self._set_state("explaining")
            self._complete_answers(reranker, options, run)
        self._end(reranker, options)

    def _run_requests(self) -> None:
        reranker, options = self._open_reranker()
        if self._store.scores(score_settings(reranker, self.query, options)).digest != self._settings:
            raise ModelChangedError
        self._end(reranker, options)

    def _end(self, reranker: Reranker, options: ScoringOptions) -> None:
        """End once no conditions are asked for any more."""
        while True:
            with self._lock:
                if not self._requested or self._stop.is_set():
                    self._requested.clear()
                    self._condition_scores_total = self._condition_scores
                    self._state = self._final_state()
                    return
            self._score_requested(reranker, options)

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

    def _find_near_duplicates(self, reranker: Reranker, options: ScoringOptions) -> None:
        groups = reranker.near_duplicates(self._keys[: len(self._results)], options=options)
        self._record.set_near_duplicates(groups)
        with self._lock:
            self._near_duplicates = groups

    def _score_requested(self, reranker: Reranker, options: ScoringOptions) -> None:
        """The conditions of all images that are asked for, as long as nobody stops."""
        with self._lock:
            indices = [index for index in self._requested if self._lacks_conditions(index)]
            for index in indices:  # of which some may have been scored before a stop
                self._results[index] = replace(self._results[index], conditions=())
            self._requested.clear()
            self._condition_scores_total += len(indices) * len(self.conditions)
        if not indices or self._stop.is_set():
            return
        self._set_state("conditions")
        sources = [NamedSource(self.images[index].name, self.images[index].source) for index in indices]
        queries = [options.query(text) for text in self.conditions]
        run = ResumableRun(reranker, queries, sources, self._store, options=options)
        self._record.set_conditions(zip(self.conditions, run.settings, strict=True))
        keys = [self._keys[index] for index in indices]
        with closing(score_conditions(run, self.conditions, keys)) as scores:
            for position, score in scores:
                self._add_condition(indices[position], score)
                if self._stop.is_set():
                    return

    def _lacks_conditions(self, index: int) -> bool:
        result = self._results[index]
        return result.problem is None and 1 < len(self.conditions) > len(result.conditions)

    def _add_condition(self, index: int, score: ConditionScore) -> None:
        with self._lock:
            result = self._results[index]
            self._results[index] = replace(result, conditions=(*result.conditions, score))
            self._condition_scores += 1

    def _complete_answers(self, reranker: Reranker, options: ScoringOptions, run: ResumableRun) -> None:
        """Complete the answers with their reasons, best image first."""
        for index in [result.index for result in self.status().ranking]:
            if self._requested:
                self._score_requested(reranker, options)
                self._set_state("explaining")
            if self._stop.is_set():
                return
            result = self._results[index]
            explained = self._complete_answer(reranker, options, self._keys[index], result)
            if explained is not result:
                run.update(explained)
            with self._lock:
                self._results[index] = explained
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

    def _set_state(self, state: JobState) -> None:
        with self._lock:
            self._state = state

    def _fail(self, error: LycheeError) -> None:
        """What is ranked stays so where only its conditions could not be scored."""
        with self._lock:
            self._requested.clear()
            self._condition_scores_total = self._condition_scores
            self._state, self._error = (self._final_state() if self._state == "conditions" else "failed"), error

    def _final_state(self) -> JobState:
        return "stopped" if len(self._results) < len(self.images) else "done"
