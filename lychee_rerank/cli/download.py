"""`lychee-rerank download`: fetch the weights, once, when a person asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as ProgressBar

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import interrupt_message, stderr_console
from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.weights.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Progress

_PERCENT_PER_LINE = 5


def download(
    repo: Annotated[str, typer.Argument(metavar="MODEL", help="The model, as its hub names it.")] = DEFAULT_MODEL,
    hub: Annotated[
        Literal["huggingface", "modelscope"], typer.Option("--from", help="The hub to fetch from.")
    ] = "huggingface",
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of a mirror of the hub; for Hugging Face also HF_ENDPOINT."),
    ] = None,
    quiet: opt.Quiet = False,
) -> None:
    """Fetch the model's weights from a hub.

    They are saved in the hub's cache on this machine, where `--model auto` finds them. The same command continues
    after a stop or a broken connection. Prints the folder.
    """
    from lychee_rerank.weights.download import download as fetch

    stopped = "Stopped; what was fetched is kept: the same command continues."
    with interrupt_message(stopped), _progress_reporter(quiet=quiet) as report:
        checkpoint = fetch(repo, hub=hub, endpoint=endpoint, report=report)
    if not quiet:
        stderr_console.print(
            f"{checkpoint.name} is ready ({format_bytes(checkpoint.size)} of weights).", soft_wrap=True
        )
    print(checkpoint.path)


@contextmanager
def _progress_reporter(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A function to call with each report; it shows a bar on a terminal, elsewhere a line on stderr for every 5%."""
    if quiet:
        yield lambda _progress: None
    elif stderr_console.is_terminal:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        with ProgressBar(*columns, console=stderr_console, transient=True) as bar:
            task = bar.add_task("")
            yield lambda progress: bar.update(
                task, completed=progress.done_bytes, total=progress.total_bytes, description=format_progress(progress)
            )
    else:
        reported_steps = set()

        def report(progress: Progress) -> None:
            step = 100 * progress.done_bytes // progress.total_bytes // _PERCENT_PER_LINE
            if step not in reported_steps:
                reported_steps.add(step)
                print(f"{step * _PERCENT_PER_LINE}%", format_progress(progress), file=sys.stderr)

        yield report


def format_progress(progress: Progress) -> str:
    """For example "3.8 GiB of 15.5 GiB, 33 MiB/s, 5:55 left"."""
    parts = [f"{format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}"]
    if progress.done_bytes == progress.total_bytes:
        parts.append("checking")
    elif progress.bytes_per_second is not None and progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        left = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
        parts += [f"{format_bytes(int(progress.bytes_per_second))}/s", f"{left} left"]
    return ", ".join(parts)
