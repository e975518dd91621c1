"""`lychee-rerank rank`: score images against one query or many, resumably, and write the ranking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from lychee_rerank.cli import options as opt
from lychee_rerank.cli import outputs as out
from lychee_rerank.cli.conditions import Conditions, query_conditions, score_best, with_conditions
from lychee_rerank.cli.decode_ahead import decode_ahead
from lychee_rerank.cli.errors import NothingScoredError, interrupt_message, stderr_console
from lychee_rerank.cli.image_folder import RankedQuery, copy, link, place_images
from lychee_rerank.cli.inputs import read_queries, resolve_images
from lychee_rerank.cli.progress import progress_reporter, show_table
from lychee_rerank.cli.reranker import ensure_server_available, open_reranker, warn_about_demo
from lychee_rerank.errors import InputError
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.rankings.store import ScoreStore, open_store
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.text.query import Query

# What a score may hang on, said once. All notes are in JSON and CSV.
_NOTES = {
    "mostly_cropped": "judged by the middle alone, because of the long shape; --fit whole judges all of a picture.",
    "embedded_preview": "judged by the preview in the camera's RAW file.",
    "raw_developed": "camera RAW without a large preview, developed automatically.",
}


def rank(
    query: opt.Query = None,
    paths: opt.Paths = None,
    queries: opt.Queries = None,
    top: opt.Top = None,
    min_score: opt.MinScore = None,
    conditions: opt.Conditions = False,
    json: opt.Json = None,
    csv: opt.Csv = None,
    jsonl: opt.JsonLines = None,
    copy_to: opt.CopyTo = None,
    link_to: opt.LinkTo = None,
    model: opt.Model = "auto",
    server: opt.Server = None,
    max_concurrency: opt.MaxConcurrency = 32,
    method: opt.Method = "auto",
    fit: opt.FitInto = "crop",
    instruction: opt.Instruction = None,
    normalize: opt.Normalize = True,
    reserve: opt.Reserve = 1.2,
    dtype: opt.Dtype = "auto",
    store: opt.Store = None,
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
) -> None:
    """Rank pictures by one sentence, best first.

    Scores are kept as they come: what was scored before is not scored again. `lychee-rerank store` says where.
    """
    outputs = out.Outputs(top, min_score, json, csv, jsonl, copy_to, link_to)
    outputs.check()
    texts, files = _resolve_arguments(query, paths or [], queries)
    scoring = ScoringOptions(normalize=normalize)
    prepared = [scoring.query(text) for text in texts]
    with interrupt_message("Stopped before scoring; scores of earlier runs are kept."):
        with decode_ahead(files, fit) as decoded:
            reranker = open_reranker(model, server, method, fit, instruction, reserve, dtype, max_concurrency)
        images = [NamedSource(file, decoded.get(file, file)) for file in files]
        if not quiet:
            warn_about_demo(reranker, model, files)
        with open_store(store) as kept:

            def open_run(queries: Sequence[str | Query], sources: Sequence[NamedSource]) -> ResumableRun:
                return ResumableRun(reranker, [*map(scoring.query, queries)], sources, kept, fresh=fresh)

            run = open_run(prepared, images)
            _score(run, prepared, len(files) * len(prepared), jsonl, kept, quiet=quiet)
            scores = score_best(run, prepared, outputs, images, kept, open_run, quiet=quiet) if conditions else []
            note = "" if kept.database.problem else "all scores are kept; "
            with interrupt_message(f"Stopped while writing; {note}run the same command again to write."):
                multi_query = queries is not None
                _write(run, prepared, outputs, files, scores, model=reranker.checkpoint.name, multi_query=multi_query)
    ensure_server_available(reranker)


def _resolve_arguments(query: str | None, paths: list[str], queries: Path | None) -> tuple[list[str], list[str]]:
    """Queries and image files. With --queries, the argument in the query's position is a path too."""
    if queries:
        return read_queries(queries), resolve_images(paths if query is None else [query, *paths])
    if query is None:
        raise InputError("Say in one sentence what you are looking for, and name the pictures to rank.")
    return [query], resolve_images(paths)


def _score(
    run: ResumableRun, queries: Sequence[Query], total: int, jsonl: Path | None, store: ScoreStore, *, quiet: bool
) -> None:
    scored, problem, notes = 0, None, Counter[str]()
    try:
        with out.json_lines(jsonl) as write, progress_reporter(total, quiet=quiet) as report:
            for index, result in run:
                write(queries[index], result)
                report(result)
                scored += result.problem is None
                problem = problem or result.problem
                notes.update(result.notes)
    except KeyboardInterrupt:
        progress = f"{scored} of {total} scores are kept; run the same command again to continue from there."
        raise KeyboardInterrupt(f"Stopped: {store.database.problem or progress}") from None
    if scored == 0:
        raise NothingScoredError(f"None of the pictures could be scored, the first because: {problem}")
    if scored < total:
        failed = f"{total - scored} of {total} could not be scored"
        note = "they rank last, with the reason, and are tried again next time"
        stderr_console.print(f"{failed}; {note}.", soft_wrap=True)
    for code, text in _NOTES.items():
        if notes[code]:
            stderr_console.print(f"{notes[code]} of {total} {text}", soft_wrap=True)


def _write(
    run: ResumableRun,
    queries: Sequence[Query],
    outputs: out.Outputs,
    files: Sequence[str],
    scores: Sequence[Conditions],
    *,
    model: str,
    multi_query: bool,
) -> None:
    """`scores` are those of the conditions of each query; () where nobody asked for them."""
    conditions = [query_conditions(query) if scores else () for query in queries]

    def rankings() -> Iterator[RankedQuery]:
        for index, query in enumerate(queries):
            ranking = outputs.select(run.ranking(index))
            yield query, with_conditions(ranking, scores[index]) if scores else ranking

    if out.STDOUT not in (outputs.json, outputs.csv, outputs.jsonl):
        for (query, ranking), texts in zip(rankings(), conditions, strict=True):
            show_table(query.text, ranking, all_rows=outputs.top is not None, conditions=texts)
    if outputs.csv:
        out.write_csv(outputs.csv, rankings(), conditions=[*dict.fromkeys(chain.from_iterable(conditions))])
    if outputs.json:
        out.write_json(outputs.json, rankings(), model=model, multi_query=multi_query)
    targets = [(folder, transfer) for folder, transfer in ((outputs.copy_to, copy), (outputs.link_to, link)) if folder]
    place_images(targets, rankings, files, query_count=len(queries) if multi_query else None)
