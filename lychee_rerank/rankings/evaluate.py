"""How good rankings are: metrics of information retrieval over a person's own relevance judgments ("qrels").

Only measures; `lychee_rerank.cli.evaluate` prints and draws. Definitions are those of trec_eval: linear gain, and an
image without a judgment counts as not relevant.
"""

from __future__ import annotations

import csv
import io
import math
import os
import random
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.errors import InputError
from lychee_rerank.images.files import read_regular_file
from lychee_rerank.results import ImageScore
from lychee_rerank.text.encoding import decode_text
from lychee_rerank.text.query import normalize_query

_COLUMNS = {"query", "file", "relevance"}
_RESAMPLES = 1000


@dataclass(frozen=True)
class Qrels:
    """Relevance judgments: `relevance[query][index in files]`, above 0 for relevant images."""

    files: tuple[Path, ...]
    relevance: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Metrics:
    """The quality of one setting, averaged over all queries; 0 to 1 except for the last three fields.

    `ndcg_low` and `ndcg_high` bound the 95% confidence interval of the mean NDCG@10: settings whose intervals overlap
    much are not shown to differ. `score_std` is the standard deviation of the scores within a ranking, `score_margin`
    the mean score of relevant images minus that of the others, both in score points. `agreement` is Spearman's rank
    correlation (-1 to 1) between the scores for a Chinese and an English query with the same judgments; None without
    such a pair.
    """

    ndcg_at_10: float
    ndcg_low: float
    ndcg_high: float
    mrr: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    score_std: float
    score_margin: float
    agreement: float | None


def read_qrels(path: Path) -> Qrels:
    """Judgments from a CSV in UTF-8 with the columns query, file (relative to the CSV) and relevance (a number).

    `path` is the CSV or a folder holding exactly one. Raises InputError where it cannot be used.
    """
    table = _find_table(path)
    try:
        reader = csv.DictReader(io.StringIO(decode_text(read_regular_file(table)), newline=""))
        if missing := _COLUMNS - set(reader.fieldnames or ()):
            raise InputError(f"{table} has no column {', '.join(sorted(missing))}.")
        rows = [_parse_row(row, f"{table}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table} cannot be read: it is not text in UTF-8 (in Excel: save as CSV UTF-8).") from error
    except csv.Error as error:
        raise InputError(f"{table} cannot be read: {error}.") from error
    return _build_qrels(rows, table)


def _find_table(path: Path) -> Path:
    if not os.path.isdir(path):  # unlike Path's own, it raises for no name
        return path
    tables = sorted(table for table in path.glob("*.csv") if not table.name.startswith("."))
    if len(tables) != 1:
        raise InputError(f"There must be one CSV with judgments in {path}; there are {len(tables)}.")
    return tables[0]


def _parse_row(row: Mapping[str, str | None], location: str) -> tuple[str, str, float]:
    query, file = (row["query"] or "").strip(), (row["file"] or "").strip()
    try:
        relevance = float(row["relevance"] or "")
    except ValueError as error:
        raise InputError(f"{location}: the relevance {row['relevance']!r} is not a number.") from error
    if not query or not file or not (math.isfinite(relevance) and relevance >= 0):
        raise InputError(f"{location}: a query, a file and a relevance of 0 or more are needed.")
    return query, file, relevance


def _build_qrels(rows: Sequence[tuple[str, str, float]], table: Path) -> Qrels:
    # Equal scores rank in input order, so that order must not follow relevance.
    names = sorted({file for _, file, _ in rows})
    random.Random(0).shuffle(names)
    if missing := [name for name in names if not os.path.isfile(table.parent / name)]:
        raise InputError(f"{len(missing)} pictures named in {table} do not exist, the first is {missing[0]}.")
    indices = {name: index for index, name in enumerate(names)}
    relevance: dict[str, dict[int, float]] = {}
    for query, file, value in rows:
        relevance.setdefault(query, {})[indices[file]] = value
    if unusable := [query for query, values in relevance.items() if not any(values.values())]:
        raise InputError(f"There is no relevant picture for {unusable[0]!r} in {table}: nothing can be measured by it.")
    if not relevance:
        raise InputError(f"There are no judgments in {table}.")
    return Qrels(tuple(table.parent / name for name in names), relevance)


def compute_metrics(qrels: Qrels, rankings: Sequence[Sequence[ImageScore]]) -> Metrics:
    """The metrics of one setting. `rankings` holds one ranking of all files for each query, in the queries' order."""
    gains = [
        [relevance.get(result.index, 0.0) for result in ranking]
        for relevance, ranking in zip(qrels.relevance.values(), rankings, strict=True)
    ]
    ndcgs = [ndcg(values, 10) for values in gains]
    low, high = bootstrap_ci(ndcgs)
    return Metrics(
        ndcg_at_10=statistics.fmean(ndcgs),
        ndcg_low=low,
        ndcg_high=high,
        mrr=statistics.fmean(map(reciprocal_rank, gains)),
        recall_at_1=statistics.fmean(recall(values, 1) for values in gains),
        recall_at_5=statistics.fmean(recall(values, 5) for values in gains),
        recall_at_10=statistics.fmean(recall(values, 10) for values in gains),
        score_std=statistics.fmean(statistics.pstdev(result.score for result in ranking) for ranking in rankings),
        score_margin=_mean(map(_score_margin, rankings, gains)) or 0.0,
        agreement=_language_agreement(qrels, rankings),
    )


def ndcg(gains: Sequence[float], k: int) -> float:
    """Normalized discounted cumulative gain at `k` of the relevances in ranked order, 0 to 1.

    DCG@k = sum of gain / log2(rank + 1); Järvelin and Kekäläinen, 2002.
    """

    def dcg(ordered: Sequence[float]) -> float:
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(ordered[:k], start=1))

    return dcg(gains) / dcg(sorted(gains, reverse=True))


def reciprocal_rank(gains: Sequence[float]) -> float:
    """1 / the rank of the first relevant image."""
    return 1 / next(rank for rank, gain in enumerate(gains, start=1) if gain > 0)


def recall(gains: Sequence[float], k: int) -> float:
    """The share of the relevant images that are among the first `k`."""
    return sum(gain > 0 for gain in gains[:k]) / sum(gain > 0 for gain in gains)


def bootstrap_ci(values: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the mean by the percentile bootstrap, the same on every run."""
    random_state = random.Random(0)
    means = sorted(statistics.fmean(random_state.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return means[_RESAMPLES // 40], means[-_RESAMPLES // 40 - 1]


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None where all values of one side are equal."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return statistics.correlation(_average_ranks(left), _average_ranks(right))


def _average_ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 for value in values]


def _score_margin(ranking: Sequence[ImageScore], gains: Sequence[float]) -> float | None:
    relevant = [result.score for result, gain in zip(ranking, gains, strict=True) if gain > 0]
    others = [result.score for result, gain in zip(ranking, gains, strict=True) if gain == 0]
    return statistics.fmean(relevant) - statistics.fmean(others) if others else None


def _language_agreement(qrels: Qrels, rankings: Sequence[Sequence[ImageScore]]) -> float | None:
    """The mean rank correlation over all pairs of a Chinese and an English query with the same judgments."""
    by_language: dict[tuple[str, ...], list[tuple[dict[int, float], list[float]]]] = {}
    for (query, relevance), ranking in zip(qrels.relevance.items(), rankings, strict=True):
        scores = [result.score for result in sorted(ranking, key=lambda result: result.index)]
        relevant = {index: value for index, value in relevance.items() if value > 0}
        by_language.setdefault(normalize_query(query).languages, []).append((relevant, scores))
    return _mean(
        spearman(chinese_scores, english_scores)
        for chinese_relevant, chinese_scores in by_language.get(("zh",), [])
        for english_relevant, english_scores in by_language.get(("en",), [])
        if chinese_relevant == english_relevant
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return statistics.fmean(defined) if defined else None
