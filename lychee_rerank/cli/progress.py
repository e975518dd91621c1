"""Progress on stderr and the finished ranking on stdout: a bar and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.results import ConditionScore, ImageScore

_MAX_ROWS = 20
_CONDITION_WIDTH = 12  # of a column, in cells of the terminal
# Line breaks, terminal escapes and bidirectional marks, which could disguise a file name.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@contextmanager
def progress_reporter(total: int, *, quiet: bool, label: str = "") -> Iterator[Callable[[ImageScore], None]]:
    """A function to call with each result as it comes; it reports on stderr, so that stdout holds only results."""
    if quiet:
        yield lambda _result: None
    elif stderr_console.is_terminal:
        column = Column(max_width=40, no_wrap=True, overflow="ellipsis")
        name = TextColumn("{task.description}", markup=False, table_column=column)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True), name)
        with Progress(*columns, console=stderr_console, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda result: bar.update(task, advance=1, description=label + _summarize(result))
    else:
        numbers = count(1)
        yield lambda result: print(f"{next(numbers)}/{total} {label}{_summarize(result)}", file=sys.stderr)


def _summarize(result: ImageScore) -> str:
    return f"{_format_score(result)} {_escape(result.name)}"


def _format_score(result: ImageScore | ConditionScore) -> str:
    return "not scored" if result.problem else f"{result.score:.1f}"


def _escape(text: str) -> str:
    """Control characters as escapes (a newline as \\n), so that the text stays on one line."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def show_table(query: str, ranking: Iterable[ImageScore], *, all_rows: bool, conditions: Sequence[str] = ()) -> None:
    """The ranking on stdout: a table on a terminal, elsewhere rank, score, name, problem (or nothing) and the score of
    each of `conditions` (or nothing) between tabs.
    """
    if not sys.stdout.isatty():
        for result in ranking:
            scores = {condition.text: _exact_score(condition) for condition in result.conditions}
            cells = (_exact_score(result), _escape(result.name), _escape(result.error or ""))
            print(result.rank, *cells, *(scores.get(text, "") for text in conditions), sep="\t")
        return
    rest = iter(ranking)
    rows = list(islice(rest, None if all_rows else _MAX_ROWS))
    console = Console(highlight=False)
    console.print(_table(query, rows, conditions if _fit(conditions, console.width) else ()))
    if more := sum(1 for _ in rest):
        console.print(f"... and {more} more; --top {len(rows) + more} shows all.")


def _exact_score(result: ImageScore | ConditionScore) -> str:
    return "" if result.problem else f"{result.score:.4f}"


def _fit(conditions: Iterable[str], width: int) -> bool:
    """Whether a terminal so wide has room for a column for each condition, beside rank, score and name."""
    return sum(min(cell_len(text), _CONDITION_WIDTH) + 3 for text in conditions) + 45 <= width


def _table(query: str, rows: Iterable[ImageScore], conditions: Sequence[str]) -> Table:
    """Has a column for each of `conditions`; without, they come on a line of their own under the name."""
    headers = (Column(Text(_escape(text), overflow="fold"), max_width=_CONDITION_WIDTH) for text in conditions)
    table = Table("Rank", "Score", *headers, "Picture", title=Text(query), title_justify="left")
    for result in rows:
        scores = {condition.text: _format_score(condition) for condition in result.conditions}
        lines = [_escape(result.name)]
        if result.error:
            lines.append(result.error)
        if scores and not conditions:
            lines.append(", ".join(f"{_escape(text)} {score}" for text, score in scores.items()))
        cells = (scores.get(text, "") for text in conditions)
        table.add_row(str(result.rank), _format_score(result), *cells, Text("\n".join(lines), overflow="fold"))
    return table
