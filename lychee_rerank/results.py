"""ImageScore: the outcome of one picture, read by everything after the engine (ranking, page, export)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from lychee_rerank.errors import PictureProblem
from lychee_rerank.text.score_parser import ParsedScore

ScoringMethod = Literal["generate", "yes_no"]


@dataclass(frozen=True)
class ImageScore:
    """What is known of one picture after it was scored: a score or a problem, never a guess.

    `index` is the place in the input (from 0), `rank` the place in the ranking (from 1; None while not ranked yet),
    `score` 0.0 to 10.0, `answer` the model's raw text, `parsed` where the score was found in it (method "generate"),
    `probability` the chance of "yes" (method "yes_no"), `seconds` the time this picture took, `notes` codes of what was
    done to the picture while opening it. `token_ids` and `finished` let `Reranker.explain` carry the answer on
    exactly where it stopped.
    """

    index: int
    name: str
    score: float
    method: ScoringMethod
    answer: str = ""
    parsed: ParsedScore | None = None
    probability: float | None = None
    rank: int | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    problem: PictureProblem | None = None
    token_ids: tuple[int, ...] = ()
    finished: bool = True

    @property
    def error(self) -> str | None:
        """Why there is no score, in one English sentence; None where there is a score."""
        return None if self.problem is None else str(self.problem)


def rank(results: Iterable[ImageScore]) -> list[ImageScore]:
    """Best first, each with its rank. Ties keep the input order; pictures without a score come last, in input order."""
    ordered = sorted(results, key=lambda result: (result.problem is not None, -result.score, result.index))
    return [replace(result, rank=place) for place, result in enumerate(ordered, start=1)]
