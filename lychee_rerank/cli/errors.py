"""How a command ends: each expected error as one line on stderr and an exit code."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec

import typer
from rich.console import Console

from lychee_rerank.errors import InputError, LycheeError, QueryError

FAILED, BAD_INPUT, NOTHING_SCORED, STOPPED = 1, 2, 3, 130

EXIT_CODES = (
    "Exit codes: 0 done; 1 the model, the server, the weights or a file failed; 2 the command line cannot be used "
    "(unknown option, no such file, empty query, no picture); 3 none of the pictures could be scored; "
    "130 stopped by Ctrl-C."
)

P = ParamSpec("P")

stderr_console = Console(stderr=True, highlight=False)


class NothingScoredError(LycheeError):
    """None of the images has a score."""


def handle_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that every expected error ends it with one line on stderr and its exit code (`EXIT_CODES`)."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            _exit(str(interrupt) or "Stopped.", STOPPED)
        except (InputError, QueryError) as error:
            _exit(str(error), BAD_INPUT)
        except NothingScoredError as error:
            _exit(str(error), NOTHING_SCORED)
        except LycheeError as error:
            _exit(str(error), FAILED)
        except BrokenPipeError:
            raise  # the reader of stdout closed it, like `head`: typer exits quietly
        except OSError as error:
            _exit(format_os_error(error), FAILED)

    return wrapper


def format_os_error(error: OSError) -> str:
    """One sentence, for example "best.csv cannot be used: No space left on device."."""
    reason = (error.strerror or str(error)).rstrip(".")
    path = error.filename2 or error.filename
    return f"{os.fspath(path)} cannot be used: {reason}." if path else f"The system refused to continue: {reason}."


@contextmanager
def interrupt_message(message: str) -> Iterator[None]:
    """Ctrl-C inside this block ends the command with `message`, unless an inner block has set one."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or message) from None


def _exit(message: str, code: int) -> NoReturn:
    stderr_console.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(code)
