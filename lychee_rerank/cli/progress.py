"""What a person sees while scoring goes on and when it is done: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lychee_rerank.cli.errors import messages
from lychee_rerank.results import ImageScore

_ROWS_ON_A_TERMINAL = 20
# Would break a line, steer the terminal, or hide what a name is.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@contextmanager
def watched(total: int, *, quiet: bool) -> Iterator[Callable[[ImageScore], None]]:
    """A function to call with each outcome as it comes; it shows them on stderr, out of the way of results."""
    if quiet:
        yield lambda result: None  # noqa: ARG005
    elif messages.is_terminal:
        with _bar() as bar:
            task = bar.add_task("", total=total)
            yield lambda result: bar.update(task, advance=1, description=_shortened(result))
    else:
        count = iter(range(1, total + 1))
        yield lambda result: print(f"{next(count)}/{total}", _outcome(result), _line(result.name), file=sys.stderr)


def _bar() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True), TextColumn("{task.description}"))
    return Progress(*columns, console=messages, transient=True)


def _shortened(result: ImageScore) -> str:
    text = Text(f"{_outcome(result)}  {_line(result.name)}")
    text.truncate(40, overflow="ellipsis")
    return text.markup


def _outcome(result: ImageScore) -> str:
    return "not scored" if result.problem else f"{result.score:.1f}"


def _line(text: str) -> str:
    """The text in one line, characters that steer a terminal written as escapes (a newline as \\n)."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def show_table(query: str, ranking: Sequence[ImageScore], *, all_rows: bool) -> None:
    """The ranking on stdout: a table on a terminal, elsewhere rank, score and name (or problem) between tabs."""
    if not sys.stdout.isatty():
        for result in ranking:
            score = "" if result.problem else f"{result.score:.4f}"
            print(result.rank, score, _line(result.name), _line(result.error or ""), sep="\t")
        return
    rows = ranking if all_rows else ranking[:_ROWS_ON_A_TERMINAL]
    table = Table("Rank", "Score", "Picture", title=Text(query), title_justify="left")
    for result in rows:
        name = Text(_line(result.name), overflow="fold")
        table.add_row(str(result.rank), _outcome(result), name.append(f"\n{result.error}" if result.error else ""))
    console = Console(highlight=False)
    console.print(table)
    if len(rows) < len(ranking):
        console.print(f"... and {len(ranking) - len(rows)} more; --top {len(ranking)} shows all.")
