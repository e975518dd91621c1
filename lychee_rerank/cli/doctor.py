"""`lychee-rerank doctor`: what this machine has, where the model would go, and what to do next."""

from __future__ import annotations

import json as written
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import FAILED, ends_in_one_line
from lychee_rerank.devices.memory import format_bytes

if TYPE_CHECKING:
    from lychee_rerank.doctor.estimate import Estimate
    from lychee_rerank.doctor.report import Place, Planned, Report

_SOURCES = {
    "argument": "--model, LYCHEE_MODEL",
    "huggingface": "Hugging Face cache",
    "modelscope": "ModelScope cache",
    "demo": "built in",
}
_WIDTH_OF_A_PIPE = 120
# The estimate is what arithmetic allows; attention, preparing the picture and the rest of the work come on top.
_AT_MOST = 2


@ends_in_one_line
def doctor(
    model: opt.Model = "auto",
    reserve: opt.Reserve = 1.2,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Estimate seconds a picture; takes a second a device.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="The same facts as JSON.")] = False,
) -> None:
    """Say what this machine has and what to do next.

    Which weights are found, where they would go, and how long a picture would take. Loads no weights and
    changes nothing. The text may be pasted anywhere: it names no person.
    """
    from lychee_rerank.doctor.diagnose import examine

    report = examine(model, reserve_gib=reserve, measure=measure)
    if json:
        print(written.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        console.width = console.width if console.is_terminal else _WIDTH_OF_A_PIPE
        console.print(screen(report))
    if not report.runs:
        raise typer.Exit(FAILED)


def screen(report: Report) -> Group:
    """The report as a person reads it, on one screen."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, lines in _sections(report):
        for number, line in enumerate(lines):
            table.add_row(title if number == 0 else "", Text(line))
    return Group(table, Text("\n1 GiB is 1.074 GB, in which hubs and shops count.", style="dim"))


def _sections(report: Report) -> Iterator[tuple[str, list[str]]]:
    yield "Versions", [", ".join(_versions(report)), report.versions.system]
    if report.cards:
        driver = f", driver {report.versions.driver}" if report.versions.driver else ""
        yield "Cards", [card.title + _room(card.free, card.total) + driver for card in report.cards]
    yield (
        "Devices",
        [f"{each.name} ({each.title})" + _room(each.free, each.total) for each in report.processors]
        or ["none that PyTorch can use"],
    )
    yield "Disk", [f"{format_bytes(report.disk_free)} free in {report.disk}"]
    yield "Weights", [line for number, place in enumerate(report.places, 1) for line in _place(number, place)]
    yield "In use", [report.in_use or "none that can be loaded"]
    for planned in report.plans:
        yield ("Plan" if planned.here else "If fetched"), _plan(planned)
    if report.troubles:
        yield "Trouble", list(report.troubles)
    yield "Next", list(report.next_steps)


def _versions(report: Report) -> Iterator[str]:
    versions = report.versions
    yield f"lychee-rerank {versions.app or '(not installed)'}"
    yield f"Python {versions.python}"
    yield f"torch {versions.torch or 'missing'}" + (f" ({versions.build})" if versions.build else "")
    yield f"transformers {versions.transformers or 'missing'}"
    yield f"streamlit {versions.streamlit or 'missing'}"


def _room(free: int | None, total: int | None) -> str:
    return f": {format_bytes(free)} of {format_bytes(total)} free" if free is not None and total is not None else ""


def _place(number: int, place: Place) -> Iterator[str]:
    name = f"{number}. {_SOURCES[place.source]}"
    if not place.found:
        yield f"{name}: nothing" + (f" in {place.where}" if place.where else " named")
    for found in place.found:
        yield f"{name}: {found.name}, {format_bytes(found.size)}, {'damaged' if found.problems else 'complete'}, {found.path}"
        yield from (f"   {problem}" for problem in found.problems)


def _plan(planned: Planned) -> list[str]:
    words = planned.words if planned.fits else f"{planned.words}: too little memory"
    return [f"{planned.name}: {words}", *(_time(planned.least) if planned.least else [])]


def _time(least: Estimate) -> list[str]:
    return [f"about {_span(least.yes_no)} a picture by yes/no, {_span(least.generate)} by a written score (estimated)"]


def _span(seconds: float) -> str:
    """For example "22 to 45 ms" or "4.5 to 9 s": two digits are more than an estimate can hold already."""
    factor, unit = (1, "s") if seconds * _AT_MOST >= 1 else (1000, "ms")
    least, most = (float(f"{factor * time:.2g}") for time in (seconds, seconds * _AT_MOST))
    return f"{least:g} to {most:g} {unit}"
