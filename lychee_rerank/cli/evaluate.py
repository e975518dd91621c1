"""`lychee-rerank eval`: which settings rank a person's own images best, by their own relevance judgments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, replace
from itertools import product
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.chart import check_drawable, draw
from lychee_rerank.cli.outputs import STDOUT, atomic_write, check_writable
from lychee_rerank.cli.progress import progress_reporter
from lychee_rerank.cli.reranker import ensure_server_available, open_reranker, warn_about_demo
from lychee_rerank.rankings.evaluate import Metrics, Qrels, compute_metrics, read_qrels
from lychee_rerank.rankings.export import encode_json
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.rankings.store import ScoreStore, open_store
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, ScoringMethod

Data = Annotated[Path, Argument(metavar="DATA", help="A CSV with the columns query, file, relevance, or its folder.")]
Json = Annotated[Path | None, Option(metavar="FILE", help="Write the measurements as JSON; - is stdout.")]
Plot = Annotated[Path | None, Option(metavar="FILE", help="Draw the comparison into this .png or .svg file.")]

_JSON_KEYS = {"score_std": "spread", "score_margin": "gap"}  # documented before the fields got these names


def evaluate(
    data: Data,
    json: Json = None,
    plot: Plot = None,
    model: opt.Model = "auto",
    server: opt.Server = None,
    max_concurrency: opt.MaxConcurrency = 32,
    method: opt.Method = "auto",
    fit: opt.FitInto = "crop",
    instruction: opt.Instruction = None,
    reserve: opt.Reserve = 1.2,
    dtype: opt.Dtype = "auto",
    store: opt.Store = None,
    quiet: opt.Quiet = False,
) -> None:
    """Measure rankings by your own judgments.

    Compares the methods that the model can do, each with the query tidied (normalised) and as typed. Every query is
    scored against every picture in the table; relevance is 0 or more, and 0 where the table says nothing.
    """
    if plot:
        check_drawable(plot)
    check_writable(*(file for file in (json, plot) if file))
    qrels = read_qrels(data)
    reranker = open_reranker(model, server, method, fit, instruction, reserve, dtype, max_concurrency)
    if not quiet:
        warn_about_demo(reranker, model, qrels.files)
    settings = _settings(reranker, method)
    metrics = {}
    total = len(qrels.relevance) * len(qrels.files) * len(settings)
    with open_store(store) as kept, progress_reporter(total, quiet=quiet) as report:
        for options in settings:
            rankings = _rank_all(reranker, qrels, options, kept, report)
            ensure_server_available(reranker)
            metrics[options] = compute_metrics(qrels, rankings)
    if json:
        _write_json(json, qrels, metrics, model=reranker.checkpoint.name)
    if json != STDOUT:
        _show_table(metrics)
    if plot:
        draw({_label(options): values for options, values in metrics.items()}, plot)


def _settings(reranker: Reranker, method: opt.MethodChoice) -> list[ScoringOptions]:
    """What is compared: with "auto" both methods if the checkpoint can generate scores, else the one method."""
    both = method == "auto" and reranker.method == "generate"
    methods: tuple[ScoringMethod, ...] = ("generate", "yes_no") if both else (reranker.method,)
    pairs = product(methods, (True, False))
    return [replace(reranker.options, method=method, normalize=normalize) for method, normalize in pairs]


def _label(options: ScoringOptions) -> str:
    return f"{options.method}, {'normalised' if options.normalize else 'as typed'}"


def _rank_all(
    reranker: Reranker, qrels: Qrels, options: ScoringOptions, store: ScoreStore, report: Callable[[ImageScore], None]
) -> list[list[ImageScore]]:
    """One ranking of all files for each query."""
    queries = [options.query(text) for text in qrels.relevance]
    images = [NamedSource(str(file), file) for file in qrels.files]
    run = ResumableRun(reranker, queries, images, store, options=options)
    for _, result in run:
        report(result)
    return [list(run.ranking(index)) for index in range(len(queries))]


def _show_table(metrics: Mapping[ScoringOptions, Metrics]) -> None:
    table = Table("Method", "NDCG@10", "(95%)", "MRR", "R@1", "R@5", "R@10", "Spread", "Gap", "zh/en")
    for options, values in metrics.items():
        ndcg, low, high, *others = ("" if value is None else f"{value:.3f}" for value in astuple(values))
        row = [_label(options), ndcg, f"{low} to {high}", *others]
        table.add_row(*row)
        if not sys.stdout.isatty():
            print(*row, sep="\t")
    if sys.stdout.isatty():
        Console(highlight=False).print(table)


def _write_json(file: Path, qrels: Qrels, metrics: Mapping[ScoringOptions, Metrics], *, model: str) -> None:
    settings = [
        {"method": options.method, "normalize": options.normalize}
        | {_JSON_KEYS.get(field, field): value for field, value in asdict(values).items()}
        for options, values in metrics.items()
    ]
    document = {"model": model, "queries": len(qrels.relevance), "files": len(qrels.files), "settings": settings}
    with atomic_write(file) as output:
        output.write(encode_json(document, indent=2))
