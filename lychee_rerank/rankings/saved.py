"""SavedRanking: a ranking of an earlier sitting, as the archive and the store hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from lychee_rerank.rankings.archive import Archive, LibraryImage, RankingFacts, SavedImage
from lychee_rerank.rankings.job_status import JobState, JobStatus
from lychee_rerank.rankings.ranking_record import RankingRecord
from lychee_rerank.rankings.store import KeptScores
from lychee_rerank.results import ConditionScore, ImageScore


def saved_rankings(archive: Archive) -> list[SavedRanking]:
    """The last rankings, oldest first."""
    return [SavedRanking(archive, facts) for facts in archive.rankings()]


class SavedRanking:
    """Like a Job that has ended: "done", or "stopped" where it was interrupted. Read when it is first shown.

    Of its conditions it knows the scores that were kept; for more, it has to be ranked again.
    """

    active = can_score_conditions = False

    def __init__(self, archive: Archive, facts: RankingFacts) -> None:
        self.id = facts.id
        self.query = facts.query
        self.started = facts.started
        self.model = facts.model
        self.prompt = facts.prompt
        self._archive = archive
        self._facts = facts
        self._record = RankingRecord(archive.database, facts.id)

    @cached_property
    def images(self) -> tuple[LibraryImage, ...]:
        return tuple(saved.image for saved in self._saved_images)

    def status(self) -> JobStatus:
        return self._status

    @property
    def conditions(self) -> tuple[str, ...]:
        """The parts of the query; empty where they were never scored."""
        return tuple(text for text, _ in self._conditions)

    def stop(self) -> None:
        """Nothing runs."""

    def request_conditions(self, indices: Sequence[int]) -> None:
        """Nothing is scored; see `can_score_conditions`."""

    @cached_property
    def _conditions(self) -> list[tuple[str, KeptScores]]:
        conditions = self._record.conditions()
        settings = [(text, self._archive.score_settings(digest)) for text, digest in conditions]
        return [(text, KeptScores(self._archive.database, values)) for text, values in settings if values]

    @cached_property
    def _saved_images(self) -> list[SavedImage]:
        return self._archive.ranking_images(self.id)

    @cached_property
    def _status(self) -> JobStatus:
        results, total = list(self._results()), len(self._saved_images)
        explained = sum(result.finished for result in results)
        seconds = self._facts.seconds
        if seconds is None:  # it was interrupted just before that was written down
            seconds = sum(result.seconds for result in results)
        state: JobState = "done" if len(results) == total else "stopped"
        near_duplicates = self._record.near_duplicates()
        return JobStatus.of(
            state, total, results, near_duplicates=near_duplicates, explained=explained, seconds=seconds
        )

    def _results(self) -> Iterator[ImageScore]:
        settings = self._archive.score_settings(self._facts.settings)
        if settings is None:
            return
        scores = KeptScores(self._archive.database, settings)
        for position, saved in enumerate(self._saved_images):
            if saved.problem:
                yield ImageScore(position, saved.image.name, 0.0, settings["method"], problem=saved.problem)
            elif result := scores.get(saved.scored):
                conditions = tuple(self._kept_conditions(saved.scored))
                yield replace(result, index=position, name=saved.image.name, conditions=conditions)

    def _kept_conditions(self, image: str) -> Iterator[ConditionScore]:
        """Of an image of this content, as far as they were scored one after the other."""
        for text, scores in self._conditions:
            if (result := scores.get(image)) is None:
                return
            yield ConditionScore(text, result.score)
