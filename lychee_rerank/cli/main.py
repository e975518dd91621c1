"""The command `lychee-rerank`: its subcommands, how usage errors look, and what is set up before each command."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from lychee_rerank.cli.app import open_page
from lychee_rerank.cli.bench import bench
from lychee_rerank.cli.doctor import doctor
from lychee_rerank.cli.download import download
from lychee_rerank.cli.errors import BAD_INPUT, EXIT_CODES, STOPPED, handle_errors, stderr_console
from lychee_rerank.cli.evaluate import evaluate
from lychee_rerank.cli.rank import rank
from lychee_rerank.cli.store import manage_store
from lychee_rerank.errors import InputError


class Commands(TyperGroup):
    """The subcommands. A usage error is reported in one line, like every other error."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _replace_closed_streams()
        if not kwargs.get("standalone_mode", True):
            return super().main(*args, **kwargs)
        try:
            code = super().main(*args, **kwargs | {"standalone_mode": False}) or 0
        except Exception as error:
            if not hasattr(error, "format_message"):  # the one trait of usage errors in every version of typer
                raise
            print(_usage_error_message(error, error.format_message()), file=sys.stderr)
            code = BAD_INPUT
        if code == STOPPED and not args and kwargs.get("args") is None:  # not under CliRunner, whose process lives on
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would end in a traceback
        sys.exit(code)


def _replace_closed_streams() -> None:
    """Give the process back what it was started without (`>&-`, a service, pythonw): streams that lead nowhere.

    Otherwise the first file that is opened would take the number of stdout, and be written to by whatever prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # takes the lowest free number: its own


def _usage_error_message(error: Exception, message: str) -> str:
    """What is wrong and which help to read; after `lychee-rerank` alone, that help itself."""
    if message.startswith("Usage:"):
        return message
    command = getattr(getattr(error, "ctx", None), "command_path", "lychee-rerank")
    message = " ".join(message.split()).removesuffix(".")
    message = message.replace("Value error, ", "").replace("Input should be", "it should be")
    return f"{message}; {command} --help lists what can be given."


class _LineHandler(logging.Handler):
    """Writes each message as one line to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stderr_console.print(self.format(record), markup=False, soft_wrap=True)
        except Exception:  # as every handler does: what cannot be logged ends nothing
            self.handleError(record)


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
@handle_errors
def configure() -> None:
    """Log to stderr, and write characters that the terminal's encoding lacks as escapes instead of failing.

    Raises InputError in a folder that was deleted: not even libraries can be loaded there.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(message)s", handlers=[_LineHandler()])
    logging.getLogger("lychee_rerank").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs every retry
    warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata in images that are read all the same
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # else huggingface.co is contacted whatever hub is named
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("The current folder no longer exists: change to another one and try again.") from error


app.command("app")(handle_errors(open_page))
app.command("rank")(handle_errors(rank))
app.command("eval")(handle_errors(evaluate))
app.command("bench")(handle_errors(bench))
app.command("download")(handle_errors(download))
app.command("doctor")(handle_errors(doctor))
app.command("store")(handle_errors(manage_store))
