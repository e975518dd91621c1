"""`lychee-rerank bench`: how fast this machine ranks, and in how much memory, beside the plain loop."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import ends_in_one_line

if TYPE_CHECKING:
    from lychee_rerank.benchmark.bench import BenchmarkResult

Size = Literal["7b", "3b", "tiny"]


@ends_in_one_line
def bench(
    model: opt.Model = "demo",
    size: Annotated[Size | None, typer.Option(help="Random weights in these shapes instead of a checkpoint.")] = None,
    dtype: Annotated[Literal["bfloat16", "float32"], typer.Option(help="Type of the weights.")] = "bfloat16",
    pictures: Annotated[int, typer.Option(min=3, help="Pictures for each way and query.")] = 20,
    new_tokens: Annotated[int, typer.Option(min=1, help="At most so many tokens an answer.")] = 12,
    memory: Annotated[int, typer.Option(min=0, help="Watch memory over so many pictures; 0: do not.")] = 0,
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Measure how fast this machine ranks, and in how much memory.

    The plain way of using the model is measured beside it, on the same weights and pictures.
    """
    from lychee_rerank.benchmark.bench import bench as measure

    report = measure(model, size=size, dtype=dtype, pictures=pictures, new_tokens=new_tokens, memory_pictures=memory)
    console = Console()
    console.print(speed_table(report))
    if report.memory:
        console.print(memory_table(report))
    if output:
        output.write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def speed_table(report: BenchmarkResult) -> Table:
    """Milliseconds a picture, and how many times faster the engine is."""
    title = f"{report.model}, {report.dtype}, {report.pictures} pictures, on {report.machine} (ms a picture)"
    table = Table("method", "way", "first", "later", "second query", "passes", title=title)
    for speed in report.speeds:
        numbers = (speed.first, speed.later, speed.second_query, speed.passes)
        table.add_row(speed.method, speed.way, *(f"{number:.1f}" for number in numbers))
    for method in dict.fromkeys(speed.method for speed in report.speeds):
        ratios = (report.ratio(method, column) for column in ("first", "later", "second_query"))
        table.add_row(method, "times faster", *(f"{ratio:.2f}" for ratio in ratios), "")
    return table


def memory_table(report: BenchmarkResult) -> Table:
    """GiB in use while pictures are scored."""
    table = Table("pictures", "used", "peak", title="GiB in use")
    for reading in report.memory:
        table.add_row(str(reading.pictures), f"{reading.used:.3f}", f"{reading.peak:.3f}")
    return table
