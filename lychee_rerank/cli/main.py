"""The command `lychee-rerank`. Each subcommand lives in its own file in `commands/`; here they are only gathered."""

from __future__ import annotations

import io
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from lychee_rerank.cli.app import page
from lychee_rerank.cli.bench import bench
from lychee_rerank.cli.doctor import doctor
from lychee_rerank.cli.download import download
from lychee_rerank.cli.errors import BAD_INPUT, EXIT_CODES, STOPPED
from lychee_rerank.cli.evaluate import evaluate
from lychee_rerank.cli.rank import rank


class Commands(TyperGroup):
    """The subcommands, with a command line that cannot be used told in one line, like every other failure."""

    def main(self, *args: Any, **how: Any) -> Any:
        if not how.get("standalone_mode", True):
            return super().main(*args, **how)
        try:
            code = super().main(*args, **how | {"standalone_mode": False}) or 0
        except Exception as error:
            if not hasattr(error, "format_message"):  # what all usage errors have, in every version of typer
                raise
            print(_in_one_line(error, error.format_message()), file=sys.stderr)
            code = BAD_INPUT
        if code == STOPPED and not args and how.get("args") is None:  # not in a test, which goes on after this
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would end in a traceback
        sys.exit(code)


def _in_one_line(error: Exception, said: str) -> str:
    """What is wrong and where to read on; after `lychee-rerank` alone, the help itself."""
    if said.startswith("Usage:"):
        return said
    command = getattr(getattr(error, "ctx", None), "command_path", "lychee-rerank")
    said = (
        " ".join(said.split()).removesuffix(".").replace("Value error, ", "").replace("Input should be", "it should be")
    )
    return f"{said}; {command} --help lists what can be given."


app = typer.Typer(
    name="lychee-rerank",
    cls=Commands,
    help="Rank pictures by one sentence, in Chinese or English, with a vision-language model on this machine.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help fits any terminal, and comes sooner
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
