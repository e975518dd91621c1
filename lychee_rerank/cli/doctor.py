"""`lychee-rerank doctor`: what this machine has, where the model would go, and what to do next."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import FAILED
from lychee_rerank.devices.memory import format_bytes
from lychee_rerank.doctor.report import ModelPlan, Report

_SOURCES = {
    "argument": "--model, LYCHEE_MODEL",
    "huggingface": "Hugging Face cache",
    "modelscope": "ModelScope cache",
    "demo": "built in",
}
# The keys of --json are older than the names in `Report`.
_JSON_KEYS = {"gpus": "cards", "devices": "processors", "cache_folder": "disk", "issues": "troubles"}
_JSON_KEYS |= {"locations": "places", "folder": "where", "checkpoints": "found", "can_score": "runs"}
_JSON_KEYS |= {"installed": "here", "fits_empty_gpu": "on_empty_gpu", "estimate": "least"}
_JSON_KEYS |= {"read_rate": "reading", "launch_time": "starting", "transfer_rate": "fetching"}
_SLOWEST = 2  # times the estimate, which leaves out attention, preparing the image and everything else


def doctor(
    model: opt.Model = "auto",
    reserve: opt.Reserve = 1.2,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Estimate seconds a picture; takes one to two seconds a device."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="The same facts as JSON.")] = False,
) -> None:
    """Say what this machine has and what to do next.

    Which weights are found, where they would go, and how long a picture would take. Loads no weights and
    changes nothing. The text may be pasted anywhere: it names no person.
    """
    from lychee_rerank.doctor.diagnose import diagnose

    report = diagnose(model, reserve_gib=reserve, measure=measure)
    if json:
        print(json_module.dumps(to_json(report), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        console.width = console.width if console.is_terminal else 120
        console.print(screen(report))
    if not report.can_score:
        raise typer.Exit(FAILED)


def to_json(report: Report) -> dict[str, Any]:
    facts = asdict(report, dict_factory=lambda items: {_JSON_KEYS.get(key, key): value for key, value in items})
    for entry, plan in zip(facts["plans"], report.plans, strict=True):
        del entry["device_map_plan"]
        entry |= {"words": plan.device_map_plan.summary, "on_gpu": plan.device_map_plan.on_gpu}
        entry |= {"dtype": plan.device_map_plan.dtype}
    return facts


def screen(report: Report) -> Group:
    """The report as a person reads it, on one screen."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, lines in _sections(report):
        if lines:
            table.add_row(title, Text("\n".join(lines)))
    return Group(table, Text("\n1 GiB is 1.074 GB, in which hubs and shops count.", style="dim"))


def _sections(report: Report) -> Iterator[tuple[str, Iterable[str]]]:
    versions = {name: version or "missing" for name, version in report.versions.items()}
    build = f" ({versions['build']})" if report.versions["build"] else ""
    core = f"lychee-rerank {versions['app']}, Python {versions['python']}, torch {versions['torch']}{build}"
    libraries = f"transformers {versions['transformers']}, streamlit {versions['streamlit']}"
    yield "Versions", (f"{core}, {libraries}", versions["system"])
    driver = f", driver {versions['driver']}" if report.versions["driver"] else ""
    yield "Cards", [gpu.title + _memory(gpu.free, gpu.total) + driver for gpu in report.gpus]
    devices = [f"{device.name} ({device.title})" + _memory(device.free, device.total) for device in report.devices]
    yield "Devices", devices or ["none that PyTorch can use"]
    yield "Disk", [f"{format_bytes(report.disk_free)} free in {report.cache_folder}"]
    yield "Weights", _weights(report)
    yield "In use", [report.in_use or "none that can be loaded"]
    for plan in report.plans:
        yield ("Plan" if plan.installed else "If fetched"), _plan(plan)
    yield "Trouble", report.issues
    yield "Next", report.next_steps


def _memory(free: int | None, total: int | None) -> str:
    return f": {format_bytes(free)} of {format_bytes(total)} free" if free is not None and total is not None else ""


def _weights(report: Report) -> Iterator[str]:
    for number, location in enumerate(report.locations, 1):
        source = f"{number}. {_SOURCES[location.source]}"
        if not location.checkpoints:
            yield f"{source}: nothing" + (f" in {location.folder}" if location.folder else " named")
        for checkpoint in location.checkpoints:
            state = "damaged" if checkpoint.problems else "complete"
            yield f"{source}: {checkpoint.name}, {format_bytes(checkpoint.size)}, {state}, {checkpoint.path}"
            yield from (f"   {problem}" for problem in checkpoint.problems)


def _plan(plan: ModelPlan) -> Iterator[str]:
    summary, dtype = plan.device_map_plan.summary, plan.device_map_plan.dtype
    yield f"{plan.name}: {summary}, in {dtype}" + ("" if plan.fits else ": too little memory")
    if plan.estimate:
        yes_no, generate = _format_range(plan.estimate.yes_no), _format_range(plan.estimate.generate)
        yield f"about {yes_no} a picture by yes/no, {generate} by a written score (estimated)"


def _format_range(seconds: float) -> str:
    """For example "22 to 45 ms" or "4.5 to 9 s": two digits are more than an estimate can have already."""
    factor, unit = (1, "s") if seconds * _SLOWEST >= 1 else (1000, "ms")
    least, most = (float(f"{factor * time:.2g}") for time in (seconds, seconds * _SLOWEST))
    return f"{least:g} to {most:g} {unit}"
