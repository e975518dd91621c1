"""`lychee-rerank eval`: which settings rank a person's own pictures best, by their own judgements."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import ends_in_one_line, open_reranker, still_there
from lychee_rerank.cli.outputs import check_writable, whole_file
from lychee_rerank.cli.progress import watched
from lychee_rerank.errors import InputError
from lychee_rerank.rankings.evaluate import Metrics, Qrels, chart, compute_metrics, read_qrels
from lychee_rerank.rankings.export import encode_json
from lychee_rerank.rankings.resumable import JOURNAL_FOLDER, ResumableRun, journal_for
from lychee_rerank.results import ImageScore

if TYPE_CHECKING:
    from lychee_rerank.reranker import Reranker

_QUERIES_AT_A_TIME = 100  # each keeps its journal open


@dataclass(frozen=True)
class Setting:
    """One way of ranking that is compared with others."""

    method: opt.ScoringMethod
    normalize: bool

    def __str__(self) -> str:
        return f"{self.method}, {'normalised' if self.normalize else 'as typed'}"


@ends_in_one_line
def evaluate(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A CSV with the columns query, file, relevance, or its folder.")
    ],
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the measurements as JSON; - is stdout.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the comparison into this .png or .svg file.")
    ] = None,
    model: opt.Model = "auto",
    server: opt.Server = None,
    max_concurrency: opt.MaxConcurrency = 32,
    method: opt.Method = "auto",
    fit: opt.FitInto = "crop",
    instruction: opt.Instruction = None,
    reserve: opt.Reserve = 1.2,
    journal: opt.Journal = JOURNAL_FOLDER,
    quiet: opt.Quiet = False,
) -> None:
    """Measure rankings by your own judgements.

    Compares the methods that the model can do, each with the query tidied (normalised) and as typed. Every
    query is asked of every picture named in the table; relevance is 0 or more, and 0 where nothing is said.
    """
    if plot and plot.suffix not in (".png", ".svg"):
        raise InputError(f"{plot} cannot be drawn: its name must end in .png or .svg.")
    check_writable(*(file for file in (json, plot) if file))
    judgements = read_qrels(data)
    reranker = open_reranker(
        model, method, fit=fit, reserve=reserve, instruction=instruction, server=server, max_concurrency=max_concurrency
    )
    settings = _settings(reranker, method)
    measured = {}
    with watched(len(judgements.queries) * len(judgements.files) * len(settings), quiet=quiet) as show:
        for setting in settings:
            rankings = _rankings(reranker, judgements, setting, journal, show)
            still_there(reranker)
            measured[setting] = compute_metrics(judgements, rankings)
    if json:
        _write_json(json, judgements, measured, model=reranker.checkpoint.name)
    if json != Path("-"):
        _show_table(measured)
    if plot:
        chart({str(setting): measures for setting, measures in measured.items()}).save(plot, scale_factor=2)


def _settings(reranker: Reranker, asked: opt.MethodChoice) -> list[Setting]:
    """All that the checkpoint can do: one that speaks "generate" under "auto" can do both methods, else only yes/no."""
    both = asked == "auto" and reranker.method == "generate"
    methods: tuple[opt.ScoringMethod, ...] = ("generate", "yes_no") if both else (reranker.method,)
    return [Setting(*each) for each in product(methods, (True, False))]


def _rankings(
    reranker: Reranker,
    judgements: Qrels,
    setting: Setting,
    journal: Path,
    show: Callable[[ImageScore], None],
) -> list[list[ImageScore]]:
    options = replace(reranker.options, method=setting.method, normalize=setting.normalize)
    queries = [options.query(text) for text in judgements.queries]
    files = [str(file) for file in judgements.files]
    rankings = []
    for start in range(0, len(queries), _QUERIES_AT_A_TIME):
        asked = queries[start : start + _QUERIES_AT_A_TIME]
        journals = [journal_for(reranker, query, journal, options) for query in asked]
        with ResumableRun(reranker, asked, files, journals, options=options) as scored:
            for _, result in scored:
                show(result)
            rankings += [scored.ranking(number) for number in range(len(asked))]
    return rankings


def _show_table(measured: Mapping[Setting, Metrics]) -> None:
    titles = ["Method", "NDCG@10", "(95%)", "MRR", "R@1", "R@5", "R@10", "Spread", "Gap", "zh/en"]
    table = Table(*titles)
    for setting, values in measured.items():
        row = [str(setting), *_cells(values)]
        table.add_row(*row)
        if not sys.stdout.isatty():
            print(*row, sep="\t")
    if sys.stdout.isatty():
        Console(highlight=False).print(table)


def _cells(values: Metrics) -> list[str]:
    numbers = (values.mrr, values.recall_at_1, values.recall_at_5, values.recall_at_10, values.spread, values.gap)
    agreement = "" if values.agreement is None else f"{values.agreement:.3f}"
    bounds = f"{values.ndcg_low:.3f} to {values.ndcg_high:.3f}"
    return [f"{values.ndcg_at_10:.3f}", bounds, *(f"{number:.3f}" for number in numbers), agreement]


def _write_json(file: Path, judgements: Qrels, measured: Mapping[Setting, Metrics], *, model: str) -> None:
    document = {
        "model": model,
        "queries": len(judgements.queries),
        "files": len(judgements.files),
        "settings": [asdict(setting) | asdict(values) for setting, values in measured.items()],
    }
    with whole_file(file) as sink:
        sink.write(encode_json(document, indent=2) + b"\n")
