"""The whole way at full size, and one table of what it took:

    python -m tools.full_size                      the published 7B: 17 GB of disk, 16 GiB of memory, some ten minutes
    python -m tools.full_size --size 3b --pictures 2

It writes a checkpoint with the published layout, shapes and vocabulary, and random weights; finds, validates, plans,
loads and probes it, cold and warm; ranks by both methods beside plain transformers; explains; ranks on the page. The
numbers are as good as with the real weights: neither time nor memory depends on what the weights are. Only written
answers differ: random ones resemble each other less than real ones, so drafts of answers are seldom right.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.benchmark.bench import machine_name
from lychee_rerank.benchmark.random_weights import SIZES, ModelDims
from lychee_rerank.cli.errors import handle_errors, interrupt_message
from lychee_rerank.devices.memory import GIB, format_bytes, free_memory
from lychee_rerank.errors import InputError, LycheeError, OutOfMemoryError
from lychee_rerank.model.loading import part_sizes
from lychee_rerank.model.memory_shortage import describe_shortage
from tools.full_size_stages import RESERVE_GIB, Step
from tools.published_checkpoint import is_complete, write_config, write_settings, write_weights

ROOT = Path(__file__).parents[1]
STAGES = ("cold", "score", "page") if hasattr(os, "posix_fadvise") else ("score", "page")
_DISK_MARGIN = GIB // 2
_COLUMNS = ("step", "seconds", "peak GiB", "of weights", "plain", "faster", "limit", "of limit", "doctor", "of doctor")

Size = Literal["7b", "3b", "tiny"]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@handle_errors
def main(
    size: Annotated[Size, typer.Option(help="Which shapes; tiny only tests this tool.")] = "7b",
    pictures: Annotated[int, typer.Option(min=1, help="Pictures for each query, beside a first one.")] = 3,
    new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 12,
    keep: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write there, keep it, or use it again.")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Make a checkpoint of the published size, run everything on it, and say how long it took in how much memory."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as after Ctrl-C
    with interrupt_message("Stopped."), checkpoint_folder(dimensions(size), keep) as (folder, steps):
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        failures = []
        for stage in STAGES:
            try:
                steps += run_stage(stage, folder, pictures, new_tokens)
            except LycheeError as error:  # the table shows what was measured all the same
                failures.append(str(error))
    Console(width=None if sys.stdout.isatty() else 180).print(table(size, steps, weights))
    if output:
        numbers = {"machine": machine_name(), "torch": torch.__version__, "size": size, "weights": weights}
        numbers |= {"pictures": pictures, "new_tokens": new_tokens, "steps": [asdict(step) for step in steps]}
        output.write_text(json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if failures:
        raise LycheeError(" ".join(failures))


def dimensions(size: Size) -> ModelDims:
    """The tiny one with the rows that the real vocabulary needs."""
    return replace(SIZES[size], vocabulary=max(SIZES[size].vocabulary, SIZES["3b"].vocabulary))


@contextmanager
def checkpoint_folder(dims: ModelDims, keep: Path | None) -> Iterator[tuple[Path, list[Step]]]:
    """A folder with the checkpoint, deleted afterwards unless it is to be kept; and what writing it took.

    Raises InputError where `keep` holds something else or the disk is too full, OutOfMemoryError where memory is short.
    """
    if keep and is_complete(keep, dims):
        check_memory(keep, dims)
        yield keep, []
        return
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InputError(f"{keep} is there already, and holds no complete checkpoint of this size.")
    folder = keep or Path(tempfile.mkdtemp(prefix="lychee-full-size-"))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        steps = [write_checkpoint(folder, dims)]
        if keep:
            cleanup.pop_all()
        yield folder, steps


def write_checkpoint(folder: Path, dims: ModelDims) -> Step:
    """Raises InputError or OutOfMemoryError before anything large is written."""
    start = time.perf_counter()
    write_config(folder, dims)
    check_memory(folder, dims)
    check_disk(folder, dims)
    write_settings(folder)
    Console(stderr=True).print(f"Writing {format_bytes(weight_bytes(folder))} to {folder} ...", soft_wrap=True)
    write_weights(folder)
    return Step("write the checkpoint", time.perf_counter() - start, 0)


def weight_bytes(folder: Path) -> int:
    return sum(part_sizes(folder, torch.bfloat16).values())


def check_memory(folder: Path, dims: ModelDims) -> None:
    """Raises OutOfMemoryError with the sentence that loading would end with."""
    sizes = part_sizes(folder, torch.bfloat16)
    if shortage := describe_shortage(sizes, free_memory(), RESERVE_GIB, name=dims.title):
        raise OutOfMemoryError(f"{shortage} For this tool: {_smaller(dims)}.")


def check_disk(folder: Path, dims: ModelDims) -> None:
    """Raises InputError."""
    needed, free = weight_bytes(folder) + _DISK_MARGIN, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{dims.title} needs {format_bytes(needed)} of disk, and {format_bytes(free)} are free in {folder.parent}: "
            f"name a folder on another disk with `--keep`, or {_smaller(dims)}."
        )


def _smaller(dims: ModelDims) -> str:
    return "`--size 3b` takes 7.0 GiB" if dims.title == SIZES["7b"].title else "`--size tiny` takes 0.2 GiB"


def run_stage(stage: str, folder: Path, pictures: int, new_tokens: int) -> list[Step]:
    """The steps of a stage of `tools.full_size_stages`, in its own process. Raises LycheeError where it fails."""
    Console(stderr=True).print(f"Running {stage} ...")
    arguments = [stage, str(folder.resolve()), str(pictures), str(new_tokens)]
    command = [sys.executable, "-m", "tools.full_size_stages", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True, check=False)
    if process.returncode == -signal.SIGKILL:
        raise OutOfMemoryError(f"The stage {stage} was killed, most likely because memory ran out.")
    if process.returncode:
        raise LycheeError(f"The stage {stage} failed.")
    return [Step(**step) for step in json.loads(process.stdout.splitlines()[-1])]


def table(size: str, steps: list[Step], weights: int) -> Table:
    """Seconds and GiB; "of" and "faster" are ratios: what was measured to the weights, the limit, doctor's estimate."""
    title = f"{SIZES[size].title}, {format_bytes(weights)} of weights, on {machine_name()}"
    caption = "plain: transformers; limit: the matrix products alone; doctor: its estimate"
    result = Table(title=title, caption=caption)
    for column in _COLUMNS:
        result.add_column(column, justify="left" if column == "step" else "right")
    result.add_column("")
    for step in steps:
        result.add_row(
            step.name,
            _digits(step.seconds),
            *((f"{step.peak / GIB:.2f}", f"{step.peak / weights:.2f}") if step.peak else ("", "")),
            *_compare(step.plain, step.plain and step.plain / step.seconds),
            *_compare(step.limit, step.limit and step.seconds / step.limit),
            *_compare(step.estimate, step.estimate and step.seconds / step.estimate),
            step.note,
        )
    return result


def _compare(seconds: float | None, ratio: float | None) -> tuple[str, str]:
    return ("", "") if seconds is None or ratio is None else (_digits(seconds), f"{ratio:.2f}")


def _digits(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"


if __name__ == "__main__":
    app()
