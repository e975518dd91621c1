"""The command `lychee-rerank`. Each subcommand lives in its own file in `commands/`; here they are only gathered."""

from __future__ import annotations

import io
import sys

import typer

from lychee_rerank.commands.bench import bench
from lychee_rerank.commands.common import EXIT_CODES
from lychee_rerank.commands.doctor import doctor
from lychee_rerank.commands.download import download
from lychee_rerank.commands.evaluate import evaluate
from lychee_rerank.commands.page import page
from lychee_rerank.commands.rank import rank

app = typer.Typer(
    name="lychee-rerank",
    help="Rank pictures by one sentence, in Chinese or English, with a vision-language model on this machine.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def prepare() -> None:
    """Names that the terminal's encoding cannot show are written as escapes instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app.command("app")(page)
app.command("rank")(rank)
app.command("eval")(evaluate)
app.command("bench")(bench)
app.command("download")(download)
app.command("doctor")(doctor)
