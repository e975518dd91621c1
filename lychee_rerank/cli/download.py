"""`lychee-rerank download`: fetch the weights, once, when a person asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import ends_in_one_line, messages
from lychee_rerank.weights.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from lychee_rerank.weights.download import Progress

_PERCENT_A_LINE = 5


@ends_in_one_line
def download(
    repo: Annotated[str, typer.Argument(metavar="MODEL", help="The model, as its hub names it.")] = DEFAULT_MODEL,
    source: Annotated[
        Literal["huggingface", "modelscope"], typer.Option("--from", help="The hub to fetch from.")
    ] = "huggingface",
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of a mirror of the hub; for Hugging Face also HF_ENDPOINT."),
    ] = None,
    quiet: opt.Quiet = False,
) -> None:
    """Fetch the model's weights from a hub.

    They come into the hub's cache on this machine, where `--model auto` finds them. What was fetched before is
    kept: the same command goes on after a stop or a broken connection. Prints the folder.
    """
    from lychee_rerank.weights.download import download as fetch

    try:
        with watched(quiet=quiet) as show:
            fetched = fetch(repo, source=source, endpoint=endpoint, report=show)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped; what was fetched is kept: the same command goes on from there.") from None
    if not quiet:
        messages.print(f"{fetched.name} is ready ({fetched.size / 1e9:.1f} GB of weights).", soft_wrap=True)
    print(fetched.path)


@contextmanager
def watched(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A function to call with each report; a bar on a terminal, elsewhere a line on stderr for every 5%."""
    if quiet:
        yield lambda progress: None  # noqa: ARG005
    elif messages.is_terminal:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        with Bar(*columns, console=messages, transient=True) as bar:
            task = bar.add_task("")
            yield lambda progress: bar.update(
                task, completed=progress.done_bytes, total=progress.total_bytes, description=in_words(progress)
            )
    else:
        yield _in_lines()


def _in_lines() -> Callable[[Progress], None]:
    told = -1

    def show(progress: Progress) -> None:
        nonlocal told
        step = 100 * progress.done_bytes // progress.total_bytes // _PERCENT_A_LINE
        if step != told:
            told = step
            print(f"{step * _PERCENT_A_LINE}%", in_words(progress), file=sys.stderr)

    return show


def in_words(progress: Progress) -> str:
    """For example "4.1 of 16.6 GB, 35.2 MB/s, 5:55 left"."""
    words = [f"{progress.done_bytes / 1e9:.1f} of {progress.total_bytes / 1e9:.1f} GB"]
    if progress.done_bytes == progress.total_bytes:
        words.append("checking")
    elif progress.bytes_per_second is not None and progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        left = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
        words += [f"{progress.bytes_per_second / 1e6:.1f} MB/s", f"{left} left"]
    return ", ".join(words)
