"""`rank --conditions`: the best images of each ranking, scored against each condition of its query alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.cli.outputs import Outputs
from lychee_rerank.cli.progress import progress_reporter
from lychee_rerank.rankings.condition_scores import score_conditions
from lychee_rerank.rankings.job import CONDITIONS_TOP
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.rankings.store import ScoreStore
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.text.query import Query

OpenRun = Callable[[Sequence[str | Query], Sequence[NamedSource]], ResumableRun]
Conditions = dict[int, tuple[ConditionScore, ...]]  # of one query, by `ImageScore.index`


def query_conditions(query: Query) -> tuple[str, ...]:
    """The conditions of a query that has several; () for a single one, whose score is that of the query."""
    conditions = split_conditions(query.text)
    return conditions if len(conditions) > 1 else ()


def with_conditions(ranking: Iterable[ImageScore], conditions: Conditions) -> Iterator[ImageScore]:
    return (replace(result, conditions=conditions.get(result.index, ())) for result in ranking)


def score_best(
    run: ResumableRun,
    queries: Sequence[Query],
    outputs: Outputs,
    images: Sequence[NamedSource],
    store: ScoreStore,
    open_run: OpenRun,
    *,
    quiet: bool,
) -> list[Conditions]:
    """Score the conditions of each of `queries` for the best images that `outputs` leaves of its ranking by `run`.

    Raises KeyboardInterrupt that says how many scores are kept.
    """
    conditions = [query_conditions(query) for query in queries]
    _note_single_conditions(conditions)
    best = [
        _best(outputs.select(run.ranking(index)), outputs.top) if texts else []
        for index, texts in enumerate(conditions)
    ]
    total = sum(len(texts) * len(results) for texts, results in zip(conditions, best, strict=True))
    scores: list[Conditions] = [defaultdict(tuple) for _ in queries]
    scored = 0
    try:
        with progress_reporter(total, quiet=quiet, label="conditions: ") as report:
            for texts, results, of_query in zip(conditions, best, scores, strict=True):
                part = open_run(texts, [images[result.index] for result in results])
                for position, score in score_conditions(part, texts, [run.keys[result.index] for result in results]):
                    result = results[position]
                    of_query[result.index] += (score,)
                    report(replace(result, score=score.score, problem=score.problem))
                    scored += score.problem is None
    except KeyboardInterrupt:
        progress = f"{scored} of {total} scores of conditions are kept; run the same command again to continue there."
        raise KeyboardInterrupt(f"Stopped: {store.database.problem or progress}") from None
    return scores


def _best(ranking: Iterable[ImageScore], top: int | None) -> list[ImageScore]:
    return [result for result in islice(ranking, top or CONDITIONS_TOP) if result.problem is None]


def _note_single_conditions(conditions: Sequence[tuple[str, ...]]) -> None:
    if single := conditions.count(()):
        subject = "The query is" if len(conditions) == 1 else f"{single} of {len(conditions)} queries are"
        stderr_console.print(f"{subject} a single condition, whose score is that of the ranking.", soft_wrap=True)
