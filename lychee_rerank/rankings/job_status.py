"""JobStatus: a ranking at one moment, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from lychee_rerank.errors import LycheeError
from lychee_rerank.results import ImageScore, rank

JobState = Literal["loading", "scoring", "conditions", "explaining", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")
_MAX_LATEST = 200


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment.

    `ranking` holds the results so far, best first; `latest` the newest of them, newest last; `explained` counts the
    answers completed after scoring, `condition_scores` the scores of single conditions, of all that were asked for.
    `near_duplicates` are groups of `ImageScore.index`, each best first. `seconds` is the time spent scoring,
    `seconds_left` an estimate of the rest. `error` is why it failed or, once ranked, why no conditions were scored.
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
    condition_scores: int = 0
    condition_scores_total: int = 0
    near_duplicates: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(
        cls,
        state: JobState,
        total: int,
        results: Sequence[ImageScore],
        *,
        near_duplicates: Iterable[Sequence[int]] = (),
        **facts: Any,
    ) -> Self:
        """`results`: in the order they came."""
        ranking = tuple(rank(results))
        order = {result.index: position for position, result in enumerate(ranking)}
        groups = tuple(tuple(sorted(group, key=lambda index: order[index])) for group in near_duplicates)
        return cls(state, total, ranking, tuple(results[-_MAX_LATEST:]), near_duplicates=groups, **facts)

    @property
    def done(self) -> int:
        return len(self.ranking)

    @property
    def active(self) -> bool:
        return self.state not in ENDED
