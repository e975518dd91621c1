"""`lychee-rerank bench`: how fast this machine ranks, and in how much memory, beside other ways to use the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.cli import options as opt
from lychee_rerank.cli.errors import stderr_console
from lychee_rerank.errors import ServerError

if TYPE_CHECKING:
    from lychee_rerank.benchmark.cpu_threads import ThreadsLatency
    from lychee_rerank.benchmark.latency import Latency
    from lychee_rerank.benchmark.result import BenchmarkResult, Column, ConditionsLatency
    from lychee_rerank.reranker import Reranker
    from lychee_rerank.results import ScoringMethod

Size = Literal["7b", "3b", "tiny"]
_COLUMNS: tuple[Column, ...] = ("first_ms", "warm_ms", "cached_ms")


def bench(
    model: opt.Model = "demo",
    size: Annotated[Size | None, typer.Option(help="Random weights in these shapes instead of a checkpoint.")] = None,
    dtype: opt.Dtype = "auto",
    images: Annotated[
        int, typer.Option("--pictures", min=3, help="Pictures of each query; 5 times two are measured.")
    ] = 8,
    new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 12,
    memory: Annotated[int, typer.Option(min=0, help="Read memory over this many pictures; 0: do not.")] = 0,
    peers: Annotated[
        bool, typer.Option("--peers", help="Measure sentence-transformers' CrossEncoder too, if it is installed.")
    ] = False,
    peer_server: Annotated[
        str | None, typer.Option(metavar="URL", help="Measure the vLLM server at this address too.")
    ] = None,
    threads: Annotated[
        bool,
        typer.Option("--threads", help="Measure the threads chosen on a CPU beside fixed settings, and a busy core."),
    ] = False,
    conditions: Annotated[
        bool, typer.Option("--conditions", help="Measure what the conditions of a query cost, beside scoring anew.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Measure how fast this machine ranks, and in how much memory.

    Plain transformers is measured beside it, with the same weights and pictures, and peers where they are asked for.
    """
    from lychee_rerank.benchmark.bench import bench as measure

    server = _connect(peer_server) if peer_server else None
    result = measure(
        model,
        size=size,
        dtype=dtype,
        images=images,
        new_tokens=new_tokens,
        memory_images=memory,
        with_cross_encoder=peers,
        server=server,
        threads=threads,
        conditions=conditions,
    )
    for sentence in result.left_out:
        stderr_console.print(sentence, markup=False, soft_wrap=True)
    console = Console()
    console.print(describe(result), markup=False, soft_wrap=True)
    for method in dict.fromkeys(entry.method for entry in result.latencies):
        console.print(latency_table(result, method))
    if result.memory:
        console.print(memory_table(result))
    if result.threads:
        console.print(threads_table(result.threads))
    if result.conditions:
        console.print(conditions_table(result.conditions))
    if output:
        output.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def describe(result: BenchmarkResult) -> str:
    """What the numbers in the tables are."""
    subject = f"{result.model}, {result.dtype}, {result.images} pictures a query, on {result.machine}"
    bound = f"Scores, from 0 to 10, may differ by {result.max_score_difference:g} from those of plain transformers."
    return f"{subject}: milliseconds a picture.\n{bound}"


def latency_table(result: BenchmarkResult, method: ScoringMethod) -> Table:
    """Every implementation: how far its scores are from those of plain transformers, its times, and their ratios."""
    table = Table(method, "scores differ by", "first", "warm", "cached", "passes")
    for entry in result.latencies:
        if entry.method == method:
            numbers = (f"{getattr(entry, column):.1f}" for column in _COLUMNS)
            passes = f"{entry.passes:.1f}" if entry.passes else ""
            table.add_row(entry.label, _difference(result, entry), *numbers, passes)
    for name, speedups in _speedups(result, method):
        table.add_row(name, "", *(f"{speedup:.2f}" for speedup in speedups), "")
    return table


def memory_table(result: BenchmarkResult) -> Table:
    """GiB in use while pictures are scored."""
    table = Table("pictures", "used", "peak", title="GiB in use")
    for reading in result.memory:
        table.add_row(str(reading.images), f"{reading.used:.3f}", f"{reading.peak:.3f}")
    return table


def threads_table(threads: Sequence[ThreadsLatency]) -> Table:
    """Every setting, quiet and beside a busy core, and how much longer than the best fixed one the chosen takes."""
    table = Table("threads on the CPU, yes_no", "", "first query", "second query", title="ms a picture")
    for busy in (False, True):
        entries = [entry for entry in threads if entry.busy == busy]
        title = "beside a busy core" if busy else "quiet"
        for entry in entries:
            table.add_row(entry.setting, title, f"{entry.first_ms:.1f}", f"{entry.cached_ms:.1f}")
        ours, *fixed = entries
        ratios = (
            ours.first_ms / min(entry.first_ms for entry in fixed),
            ours.cached_ms / min(entry.cached_ms for entry in fixed),
        )
        table.add_row("chosen / best fixed", title, *(f"{ratio:.2f}" for ratio in ratios))
    return table


def conditions_table(conditions: Sequence[ConditionsLatency]) -> Table:
    """Each method: its times, those after a ranking as a part of scoring anew, and how far scores are from that."""
    columns = ("after a ranking", "nothing kept", "scored anew", "transformers", "part of anew", "scores differ by")
    table = Table("", *columns, title="ms for 4 conditions of 12 pictures")
    for entry in conditions:
        times = (f"{value:.0f}" for value in (entry.kept_ms, entry.cold_ms, entry.anew_ms, entry.plain_ms))
        table.add_row(entry.method, *times, f"{entry.ratio:.0%}", f"{entry.score_difference:.2g}")
    return table


def _connect(url: str) -> Reranker | None:
    """The server, or a sentence on stderr before anything is measured. Raises InputError."""
    from lychee_rerank.vllm import connect

    try:
        return connect(url, method="yes_no", max_concurrency=8)
    except ServerError as error:
        stderr_console.print(f"vllm is left out: {error}", markup=False, soft_wrap=True)
        return None


def _difference(result: BenchmarkResult, entry: Latency) -> str:
    text = f"{entry.score_difference:.2g}"
    return f"[red]{text}: differs[/red]" if result.differs(entry) else text


def _speedups(result: BenchmarkResult, method: ScoringMethod) -> Iterator[tuple[str, list[float]]]:
    yield "times faster: transformers", [result.speedup(method, column) for column in _COLUMNS]
    peers = [result.peer_speedup(method, column) for column in _COLUMNS]
    if speedups := [speedup for speedup in peers if speedup is not None]:
        yield "times faster: fastest peer", speedups
