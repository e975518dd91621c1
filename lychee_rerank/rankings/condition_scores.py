"""Scores of images against each condition of a query alone, kept and found again like those of whole queries."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from lychee_rerank.rankings.resumable import ResumableRun
from lychee_rerank.results import ConditionScore


def score_conditions(
    run: ResumableRun, conditions: Sequence[str], keys: Sequence[str]
) -> Generator[tuple[int, ConditionScore], None, None]:
    """The position of an image in `run` and its score for a condition, as they come; each image's in their order.

    The queries of `run` are `conditions`, as typed. `keys` are the content hashes of its images in the ranking: one
    whose file has changed since then is passed over.
    """
    with closing(iter(run)) as results:
        for condition, result in results:
            if run.keys[result.index] == keys[result.index]:
                yield result.index, ConditionScore(conditions[condition], result.score, result.problem)
