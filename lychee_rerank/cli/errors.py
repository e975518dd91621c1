"""What the subcommands share: how they end, and the one place where a model is opened."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

import typer
from rich.console import Console
from rich.logging import RichHandler

from lychee_rerank.cli.options import Fit, MethodChoice
from lychee_rerank.errors import InputError, LycheeError, QueryError
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION

if TYPE_CHECKING:
    from lychee_rerank.reranker import Reranker

FAILED, BAD_INPUT, NOTHING_SCORED, STOPPED = 1, 2, 3, 130

EXIT_CODES = (
    "Exit codes: 0 done; 1 the model, the server, the weights or a file failed; 2 the command line cannot be used "
    "(unknown option, no such file, empty query, no picture); 3 none of the pictures could be scored; "
    "130 stopped by Ctrl-C."
)

Arguments = ParamSpec("Arguments")

messages = Console(stderr=True, highlight=False)


class NothingScoredError(LycheeError):
    """None of the pictures has a score."""


def ends_in_one_line(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """The command, with every foreseen failure told in one line on stderr and its exit code (`EXIT_CODES`)."""

    @functools.wraps(command)
    def told(*args: Arguments.args, **options: Arguments.kwargs) -> None:
        logging.basicConfig(
            format="%(message)s", handlers=[RichHandler(console=messages, show_path=False, show_time=False)]
        )
        logging.getLogger("lychee_rerank").setLevel(logging.INFO)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # tells of every try; what counts is told once
        try:
            command(*args, **options)
        except KeyboardInterrupt as stop:
            _end(str(stop) or "Stopped.", STOPPED)
        except (InputError, QueryError) as error:
            _end(str(error), BAD_INPUT)
        except NothingScoredError as error:
            _end(str(error), NOTHING_SCORED)
        except BrokenPipeError:
            raise  # the reader of stdout has seen enough: typer ends quietly
        except LycheeError as error:
            _end(str(error), FAILED)
        except OSError as error:
            _end(in_words(error), FAILED)

    return told


def in_words(error: OSError) -> str:
    """What the system refused, as a sentence: "best.csv cannot be used: No space left on device."."""
    why = (error.strerror or str(error)).rstrip(".")
    place = error.filename2 or error.filename
    return f"{os.fspath(place)} cannot be used: {why}." if place else f"The system refused to go on: {why}."


@contextmanager
def stopping(sentence: str) -> Iterator[None]:
    """Ctrl-C in here is told by `sentence`, where nothing inside has told it already."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or sentence) from None


def _end(sentence: str, code: int) -> None:
    messages.print(sentence, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def open_reranker(
    model: str,
    method: MethodChoice,
    *,
    fit: Fit,
    reserve: float,
    instruction: str | None = None,
    server: str | None = None,
    max_concurrency: int = 32,
) -> Reranker:
    """The reranker that the options ask for: `model` here, or the one behind `server`. Raises LycheeError."""
    instruction = instruction or DEFAULT_INSTRUCTION
    if server:
        from lychee_rerank.vllm.reranker import connect

        return connect(server, method=method, fit=fit, instruction=instruction, max_concurrency=max_concurrency)
    from lychee_rerank.reranker import Reranker

    return Reranker.from_pretrained(model, method=method, reserve_gib=reserve, fit=fit, instruction=instruction)


def still_there(reranker: Reranker) -> None:
    """Raises ServerError where the reranker scores through a server that went away meanwhile."""
    from lychee_rerank.vllm.reranker import VLLMReranker

    if isinstance(reranker, VLLMReranker):
        reranker.server.check()
