"""SavedRanking: a ranking of an earlier sitting, as the archive and the store hold it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from lychee_rerank.rankings.archive import Archive, LibraryImage, RankingFacts, SavedImage
from lychee_rerank.rankings.job import JobState, JobStatus
from lychee_rerank.rankings.store import KeptScores
from lychee_rerank.results import ImageScore


def saved_rankings(archive: Archive) -> list[SavedRanking]:
    """The last rankings, oldest first."""
    return [SavedRanking(archive, facts) for facts in archive.rankings()]


class SavedRanking:
    """Like a Job that has ended: "done", or "stopped" where it was interrupted. Read when it is first shown."""

    def __init__(self, archive: Archive, facts: RankingFacts) -> None:
        self.id = facts.id
        self.query = facts.query
        self.started = facts.started
        self.model = facts.model
        self.prompt = facts.prompt
        self._archive = archive
        self._facts = facts

    @cached_property
    def images(self) -> tuple[LibraryImage, ...]:
        return tuple(saved.image for saved in self._saved_images)

    def status(self) -> JobStatus:
        return self._status

    def stop(self) -> None:
        """Nothing runs."""

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
        return JobStatus.of(state, total, results, explained=explained, seconds=seconds)

    def _results(self) -> Iterator[ImageScore]:
        settings = self._archive.score_settings(self._facts.settings)
        if settings is None:
            return
        scores = KeptScores(self._archive.database, settings)
        for position, saved in enumerate(self._saved_images):
            if saved.problem:
                yield ImageScore(position, saved.image.name, 0.0, settings["method"], problem=saved.problem)
            elif result := scores.get(saved.scored):
                yield replace(result, index=position, name=saved.image.name)
