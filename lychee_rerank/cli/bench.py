"""`lychee-rerank bench`: how fast this machine ranks, and in how much memory, beside plain transformers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.cli import options as opt

if TYPE_CHECKING:
    from lychee_rerank.benchmark.bench import BenchmarkResult

Size = Literal["7b", "3b", "tiny"]


def bench(
    model: opt.Model = "demo",
    size: Annotated[Size | None, typer.Option(help="Random weights in these shapes instead of a checkpoint.")] = None,
    dtype: Annotated[Literal["bfloat16", "float32"], typer.Option(help="Type of the weights.")] = "bfloat16",
    images: Annotated[int, typer.Option("--pictures", min=3, help="Pictures for each implementation and query.")] = 20,
    new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 12,
    memory: Annotated[int, typer.Option(min=0, help="Read memory over this many pictures; 0: do not.")] = 0,
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Measure how fast this machine ranks, and in how much memory.

    Plain transformers is measured beside it, with the same weights and pictures.
    """
    from lychee_rerank.benchmark.bench import bench as measure

    result = measure(model, size=size, dtype=dtype, images=images, new_tokens=new_tokens, memory_images=memory)
    console = Console()
    console.print(latency_table(result))
    if result.memory:
        console.print(memory_table(result))
    if output:
        output.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def latency_table(result: BenchmarkResult) -> Table:
    """Milliseconds a picture, and how many times faster than plain transformers."""
    title = f"{result.model}, {result.dtype}, {result.images} pictures, on {result.machine} (ms a picture)"
    table = Table("method", "implementation", "first", "warm", "cached", "passes", title=title)
    for entry in result.latencies:
        numbers = (entry.first_ms, entry.warm_ms, entry.cached_ms, entry.passes)
        table.add_row(entry.method, entry.implementation, *(f"{number:.1f}" for number in numbers))
    for method in dict.fromkeys(entry.method for entry in result.latencies):
        speedups = (result.speedup(method, column) for column in ("first_ms", "warm_ms", "cached_ms"))
        table.add_row(method, "times faster", *(f"{speedup:.2f}" for speedup in speedups), "")
    return table


def memory_table(result: BenchmarkResult) -> Table:
    """GiB in use while pictures are scored."""
    table = Table("pictures", "used", "peak", title="GiB in use")
    for reading in result.memory:
        table.add_row(str(reading.images), f"{reading.used:.3f}", f"{reading.peak:.3f}")
    return table
