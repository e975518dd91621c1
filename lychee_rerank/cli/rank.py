"""`lychee-rerank rank`: score pictures for one query or many, resumably, and write the ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lychee_rerank.cli import options as opt
from lychee_rerank.cli import outputs as out
from lychee_rerank.cli.errors import (
    NothingScoredError,
    ends_in_one_line,
    messages,
    open_reranker,
    still_there,
    stopping,
)
from lychee_rerank.cli.inputs import pictures_named, queries_in
from lychee_rerank.cli.progress import show_table, watched
from lychee_rerank.errors import InputError
from lychee_rerank.rankings.resumable import JOURNAL_FOLDER, ResumableRun, journal_for
from lychee_rerank.rankings.store import prune
from lychee_rerank.text.query import Query, normalize_query, raw_query


@ends_in_one_line
def rank(
    query: opt.Query = None,
    paths: opt.Paths = None,
    queries: opt.Queries = None,
    top: opt.Top = None,
    min_score: opt.MinScore = None,
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
    journal: opt.Journal = JOURNAL_FOLDER,
    fresh: opt.Fresh = False,
    quiet: opt.Quiet = False,
) -> None:
    """Rank pictures by one sentence, best first.

    Scores are kept as they come: after an interruption the same command scores only what is missing, and with other
    outputs it scores nothing again. Kept scores are deleted when unused for 30 days.
    """
    outputs = out.Outputs(top, min_score, json, csv, jsonl, copy_to, link_to)
    outputs.check()
    if query is None and queries is None:
        raise InputError("Say in one sentence what you are after, and name the pictures to rank.")
    named = [name for name in (query, *(paths or ())) if name is not None]
    texts = queries_in(queries) if queries else named[:1]
    asked = [normalize_query(text) if normalize else raw_query(text) for text in texts]
    files = pictures_named(named if queries else named[1:])
    with stopping("Stopped before scoring; scores of earlier runs are kept."):
        prune(journal)
        reranker = open_reranker(
            model,
            method,
            fit=fit,
            reserve=reserve,
            instruction=instruction,
            server=server,
            max_concurrency=max_concurrency,
        )
        journals = [journal_for(reranker, each, journal) for each in asked]
    with ResumableRun(reranker, asked, files, journals, fresh=fresh) as rankings:
        _score(rankings, asked, len(files) * len(asked), jsonl, quiet=quiet)
        with stopping("Stopped while writing; all scores are kept; run the same command again to write."):
            _write(rankings, asked, outputs, model=reranker.checkpoint.name, many=queries is not None)
    still_there(reranker)


def _score(rankings: ResumableRun, queries: Sequence[Query], total: int, jsonl: Path | None, *, quiet: bool) -> None:
    scored, problem = 0, None
    try:
        with out.json_lines(jsonl, queries) as write, watched(total, quiet=quiet) as show:
            for number, result in rankings:
                write(number, result)
                show(result)
                scored += result.problem is None
                problem = problem or result.problem
    except KeyboardInterrupt:
        sentence = f"Stopped: {scored} of {total} scores are kept; run the same command again to go on from there."
        raise KeyboardInterrupt(sentence) from None
    if scored == 0:
        raise NothingScoredError(f"None of the pictures could be scored, the first because: {problem}")
    if scored < total:
        left = f"{total - scored} of {total} could not be scored"
        last = "they rank last, with the reason, and are tried again next time"
        messages.print(f"{left}; {last}.", soft_wrap=True)


def _write(rankings: ResumableRun, queries: Sequence[Query], outputs: out.Outputs, *, model: str, many: bool) -> None:
    def each() -> Iterator[out.Ranked]:
        return ((query, outputs.chosen(rankings.ranking(number))) for number, query in enumerate(queries))

    if not outputs.on_stdout:
        for query, ranking in each():
            show_table(query.text, ranking, all_rows=outputs.top is not None)
    if outputs.csv:
        out.write_csv(outputs.csv, each())
    if outputs.json:
        out.write_json(outputs.json, each(), model=model, many=many)
    if outputs.copy_to:
        out.place_pictures(outputs.copy_to, each(), out.copy, many=many)
    if outputs.link_to:
        out.place_pictures(outputs.link_to, each(), out.link, many=many)
