"""ImageScore: the result of scoring one image, and the order of a ranking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from lychee_rerank.errors import PictureProblem
from lychee_rerank.text.score_parser import ParsedScore

ScoringMethod = Literal["generate", "yes_no"]


@dataclass(frozen=True)
class ConditionScore:
    """How well an image matches one part of the query (`text`, as typed), scored alone, from 0.0 to 10.0.

    `score` is 0.0 where there is a `problem`.
    """

    text: str
    score: float
    problem: PictureProblem | None = None

    @property
    def error(self) -> str | None:
        """Why there is no score, in one English sentence; None where there is a score."""
        return None if self.problem is None else str(self.problem)


@dataclass(frozen=True)
class ImageScore:
    """The result of scoring one image: a score or a problem.

    `index` is the position in the input (from 0), `rank` that in the ranking (from 1; None before ranking), `score` is
    0.0 to 10.0 (0.0 with a problem), `answer` the model's raw text, `parsed` the score found in it (method "generate"),
    `probability` that of "yes" (method "yes_no"), `seconds` the time this image took, `notes` are codes of what was
    done to the image while opening it. `token_ids` and `finished` let `Reranker.explain` continue the answer.
    `conditions` are the scores of the query's parts, in their order, as far as they were asked for.
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
    conditions: tuple[ConditionScore, ...] = ()

    @property
    def error(self) -> str | None:
        """Why there is no score, in one English sentence; None where there is a score."""
        return None if self.problem is None else str(self.problem)


def rank(results: Iterable[ImageScore]) -> list[ImageScore]:
    """Best first, each with its rank. Ties keep the input order; images without a score come last, in input order."""
    ordered = sorted(results, key=lambda result: (result.problem is not None, -result.score, result.index))
    return [replace(result, rank=position) for position, result in enumerate(ordered, start=1)]
