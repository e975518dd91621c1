"""Progress on stderr and the finished ranking on stdout: a bar and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.results import ImageScore

_MAX_ROWS = 20
# Line breaks, terminal escapes and bidirectional marks, which could disguise a file name.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@contextmanager
def progress_reporter(total: int, *, quiet: bool) -> Iterator[Callable[[ImageScore], None]]:
    """A function to call with each result as it comes; it reports on stderr, so that stdout holds only results."""
    if quiet:
        yield lambda _result: None
    elif stderr_console.is_terminal:
        column = Column(max_width=40, no_wrap=True, overflow="ellipsis")
        name = TextColumn("{task.description}", markup=False, table_column=column)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True), name)
        with Progress(*columns, console=stderr_console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda result: bar.update(task, advance=1, description=_summarize(result))
    else:
        numbers = count(1)
        yield lambda result: print(f"{next(numbers)}/{total} {_summarize(result)}", file=sys.stderr)


def _summarize(result: ImageScore) -> str:
    return f"{_format_score(result)} {_escape(result.name)}"


def _format_score(result: ImageScore) -> str:
    return "not scored" if result.problem else f"{result.score:.1f}"


def _escape(text: str) -> str:
    """Control characters as escapes (a newline as \\n), so that the text stays on one line."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def show_table(query: str, ranking: Iterable[ImageScore], *, all_rows: bool) -> None:
    """The ranking on stdout: a table on a terminal, elsewhere rank, score and name (or problem) between tabs."""
    if not sys.stdout.isatty():
        for result in ranking:
            score = "" if result.problem else f"{result.score:.4f}"
            print(result.rank, score, _escape(result.name), _escape(result.error or ""), sep="\t")
        return
    rest = iter(ranking)
    rows = list(islice(rest, None if all_rows else _MAX_ROWS))
    table = Table("Rank", "Score", "Picture", title=Text(query), title_justify="left")
    for result in rows:
        name = Text(_escape(result.name), overflow="fold")
        table.add_row(str(result.rank), _format_score(result), name.append(f"\n{result.error}" if result.error else ""))
    console = Console(highlight=False)
    console.print(table)
    if more := sum(1 for _ in rest):
        console.print(f"... and {more} more; --top {len(rows) + more} shows all.")
