"""How good are the rankings? Measures of information retrieval over a person's own judgements, a table and a chart.

Pure: judgements and rankings in, numbers and drawings out. The measures are those of the published benchmarks
(trec_eval's definitions: linear gain, a picture without a judgement counts as not relevant).
"""

from __future__ import annotations

import csv
import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lychee_rerank.errors import InputError
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import normalize_query

if TYPE_CHECKING:
    import altair

_COLUMNS = {"query", "file", "relevance"}
_RESAMPLES = 1000


@dataclass(frozen=True)
class Qrels:
    """What a person holds to be right: `relevance[query][place in files]`, above 0 for relevant pictures."""

    files: tuple[Path, ...]
    relevance: Mapping[str, Mapping[int, float]]

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(self.relevance)


@dataclass(frozen=True)
class Metrics:
    """One setting's quality over all queries: means from 0 to 1, except `spread` and `gap`, which are in score points.

    `ndcg_low` and `ndcg_high` bound the mean NDCG@10 in 95 of 100 resamplings of the queries: settings whose ranges
    overlap much are not shown to differ. `spread` is the standard deviation of the scores within a ranking, `gap` the
    mean score of relevant pictures less that of the others. `agreement` is the rank correlation (Spearman, -1 to 1)
    of the scores for a Chinese and an English query with the same judgements; None where there is no such pair.
    """

    ndcg_at_10: float
    ndcg_low: float
    ndcg_high: float
    mrr: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    spread: float
    gap: float
    agreement: float | None


def read_qrels(data: Path) -> Qrels:
    """Judgements from a CSV in UTF-8 with the columns query, file (relative to the CSV) and relevance (a number).

    `data` is the CSV or a folder holding exactly one. Raises InputError where it cannot be used.
    """
    table = _table_in(data)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := _COLUMNS - set(reader.fieldnames or ()):
                raise InputError(f"{table} has no column {', '.join(sorted(missing))}.")
            rows = [_judgement(row, f"{table}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table} cannot be read: it is no text in UTF-8 (in Excel: save as CSV UTF-8).") from error
    except csv.Error as error:
        raise InputError(f"{table} cannot be read: {error}.") from error
    return _gathered(rows, table)


def _table_in(data: Path) -> Path:
    if not data.is_dir():
        return data
    tables = sorted(data.glob("*.csv"))
    if len(tables) != 1:
        raise InputError(f"There must be one CSV with judgements in {data}; there are {len(tables)}.")
    return tables[0]


def _judgement(row: Mapping[str, str | None], where: str) -> tuple[str, str, float]:
    query, file = (row["query"] or "").strip(), (row["file"] or "").strip()
    try:
        relevance = float(row["relevance"] or "")
    except ValueError as error:
        raise InputError(f"{where}: the relevance {row['relevance']!r} is not a number.") from error
    if not query or not file or not (math.isfinite(relevance) and relevance >= 0):
        raise InputError(f"{where}: a query, a file and a relevance of 0 or more are needed.")
    return query, file, relevance


def _gathered(rows: Sequence[tuple[str, str, float]], table: Path) -> Qrels:
    # In an order that knows nothing of relevance, because equal scores are ranked in input order.
    names = sorted({file for _, file, _ in rows})
    random.Random(0).shuffle(names)
    if absent := [name for name in names if not (table.parent / name).is_file()]:
        raise InputError(f"{len(absent)} pictures named in {table} do not exist, the first is {absent[0]}.")
    places = {name: place for place, name in enumerate(names)}
    relevance: dict[str, dict[int, float]] = {}
    for query, file, value in rows:
        relevance.setdefault(query, {})[places[file]] = value
    if useless := [query for query, values in relevance.items() if not any(values.values())]:
        raise InputError(f"There is no relevant picture for {useless[0]!r} in {table}: nothing can be measured by it.")
    if not relevance:
        raise InputError(f"There are no judgements in {table}.")
    return Qrels(tuple(table.parent / name for name in names), relevance)


def compute_metrics(judgements: Qrels, rankings: Sequence[Sequence[ImageScore]]) -> Metrics:
    """The measures of one setting. `rankings` has one ranking of all files for each query, in their order."""
    gains = [
        [judged.get(result.index, 0.0) for result in ranking]
        for judged, ranking in zip(judgements.relevance.values(), rankings, strict=True)
    ]
    low, high = bootstrap_ci([ndcg(each, 10) for each in gains])
    return Metrics(
        ndcg_at_10=statistics.fmean(ndcg(each, 10) for each in gains),
        ndcg_low=low,
        ndcg_high=high,
        mrr=statistics.fmean(map(reciprocal_rank, gains)),
        recall_at_1=statistics.fmean(recall(each, 1) for each in gains),
        recall_at_5=statistics.fmean(recall(each, 5) for each in gains),
        recall_at_10=statistics.fmean(recall(each, 10) for each in gains),
        spread=statistics.fmean(statistics.pstdev(result.score for result in ranking) for ranking in rankings),
        gap=_mean([_gap(ranking, each) for ranking, each in zip(rankings, gains, strict=True)]) or 0.0,
        agreement=_agreement(judgements, rankings),
    )


def ndcg(gains: Sequence[float], depth: int) -> float:
    """Normalised discounted cumulative gain of relevances in ranked order, 0 to 1."""

    def discounted(ordered: Sequence[float]) -> float:
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(ordered[:depth]))

    return discounted(gains) / discounted(sorted(gains, reverse=True))


def reciprocal_rank(gains: Sequence[float]) -> float:
    """1 / the rank of the first relevant picture."""
    return 1 / next(place for place, gain in enumerate(gains, start=1) if gain > 0)


def recall(gains: Sequence[float], depth: int) -> float:
    """The share of the relevant pictures that stand among the first `depth`."""
    return sum(gain > 0 for gain in gains[:depth]) / sum(gain > 0 for gain in gains)


def bootstrap_ci(values: Sequence[float]) -> tuple[float, float]:
    """Where the mean lies in the middle 95% of resamplings (bootstrap), the same on every run."""
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return means[_RESAMPLES // 40], means[-_RESAMPLES // 40 - 1]


def _gap(ranking: Sequence[ImageScore], gains: Sequence[float]) -> float | None:
    relevant = [result.score for result, gain in zip(ranking, gains, strict=True) if gain > 0]
    others = [result.score for result, gain in zip(ranking, gains, strict=True) if gain == 0]
    return statistics.fmean(relevant) - statistics.fmean(others) if others else None


def _agreement(judgements: Qrels, rankings: Sequence[Sequence[ImageScore]]) -> float | None:
    """The mean rank correlation over all pairs of one Chinese and one English query with the same judgements."""
    by_language: dict[tuple[str, ...], list[tuple[dict[int, float], list[float]]]] = {}
    for (query, judged), ranking in zip(judgements.relevance.items(), rankings, strict=True):
        scores = [result.score for result in sorted(ranking, key=lambda result: result.index)]
        relevant = {place: value for place, value in judged.items() if value > 0}
        by_language.setdefault(normalize_query(query).languages, []).append((relevant, scores))
    return _mean(
        spearman(chinese, english)
        for wanted, chinese in by_language.get(("zh",), [])
        for same, english in by_language.get(("en",), [])
        if wanted == same
    )


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's rank correlation, equal values sharing their ranks; None where one side is all equal."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return statistics.correlation(_ranks(left), _ranks(right))


def _ranks(values: Sequence[float]) -> list[float]:
    ranks, before = [0.0] * len(values), 0
    order = sorted(range(len(values)), key=values.__getitem__)
    for _, group in groupby(order, key=values.__getitem__):
        equal = list(group)
        for place in equal:
            ranks[place] = before + (len(equal) + 1) / 2
        before += len(equal)
    return ranks


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def chart(measured: Mapping[str, Metrics]) -> altair.LayerChart:
    """Bars of the measures from 0 to 1, one colour a setting, with the range of NDCG@10 as a line on its bar."""
    import altair

    shown = {"NDCG@10": "ndcg_at_10", "MRR": "mrr", "recall@1": "recall_at_1", "recall@5": "recall_at_5"}
    shown |= {"recall@10": "recall_at_10", "zh/en agreement": "agreement"}
    settings = {setting: asdict(measures) for setting, measures in measured.items()}
    bars = [
        {"measure": title, "setting": setting, "value": values[field]}
        for title, field in shown.items()
        for setting, values in settings.items()
    ]
    ranges = [{"measure": "NDCG@10", "setting": setting, **values} for setting, values in settings.items()]
    flat = altair.Axis(labelAngle=0)
    placed = {
        "x": altair.X("measure:N", sort=None, title=None, axis=flat),
        "xOffset": altair.XOffset("setting:N", sort=None),
    }
    value = altair.Y("value:Q", title=None)
    colour = altair.Color("setting:N", sort=None, title=None)
    drawn = altair.Chart({"values": bars}).mark_bar().encode(**placed, y=value, color=colour)
    lines = altair.Chart({"values": ranges}).mark_rule().encode(**placed, y="ndcg_low:Q", y2="ndcg_high:Q")
    layers: altair.LayerChart = (drawn + lines).properties(width=660)
    return layers
