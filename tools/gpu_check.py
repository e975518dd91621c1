"""What needs a CUDA GPU, in one command of a few minutes: `python -m tools.gpu_check FOLDER --json result.json`.

FOLDER holds a checkpoint, such as `python -m tools.full_size --keep FOLDER` writes. Checked are:

- scores and answers with CUDA graphs against those without, and how long a picture takes in each way;
- what the conditions of a query cost, beside scoring the same pictures anew for each;
- peak memory over many pictures;
- the same checkpoint while another process leaves only 24 GiB of the GPU: the reserve must stay free.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from lychee_rerank.benchmark.bench import METHODS
from lychee_rerank.benchmark.conditions import measure_conditions
from lychee_rerank.benchmark.latency import QUERIES
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.devices.memory import GIB
from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.text.prompts import generate_messages, yes_no_messages
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.locate import Checkpoint

_NEW_TOKENS = 12
_CAP_GIB, _RESERVE_GIB = 24.0, 1.2

app = typer.Typer(add_completion=False)


@app.command()
def main(
    folder: Path,
    pictures: Annotated[int, typer.Option(help="Pictures for each measurement.")] = 20,
    memory: Annotated[int, typer.Option(help="Pictures over which memory is read.")] = 500,
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Check CUDA graphs and memory on this machine's first GPU."""
    model = load_model(folder, device_map={"": 0})[0]
    loaded = [load_image(photo) for photo in random_photos(pictures)]
    images = [replace(image, image=model.resize(image.image)) for image in loaded]  # as `ImagePreprocessor` does
    result: dict[str, Any] = {"gpu": torch.cuda.get_device_name(0), "torch": torch.__version__}
    result |= {"with_graphs": measure(model, images)}
    result |= {"memory_gib": list(read_memory(model, memory))}
    result |= {"conditions": list(measure_all_conditions(model, folder))}
    with model.without_cuda_graphs():
        result |= {"without_graphs": measure(model, images)}
    del model
    gc.collect()
    torch.cuda.empty_cache()
    with ballast(_CAP_GIB):
        result |= {"capped": run_capped(folder, images)}
    Console().print(table(result))
    if output:
        output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(model: VisionLanguageModel, images: list[LoadedImage]) -> dict[str, Any]:
    """Milliseconds a picture, scores and answers: yes/no first query, a second one with cached image features, and
    generated answers, both cached and drafted from one another as they are.
    """
    model.clear_cache()
    yes_no, second = (yes_no_messages(normalize_query(query)) for query in QUERIES)
    generated = generate_messages(normalize_query(QUERIES[0]))
    generate = partial(model.generate, stop=lambda _: False, max_new_tokens=_NEW_TOKENS)
    model.score_yes_no(yes_no, images[0])  # records the graphs
    generate(generated, images[0])
    model.clear_cache()
    first, scores = timed(lambda image: model.score_yes_no(yes_no, image).probability, images)
    cached, more_scores = timed(lambda image: model.score_yes_no(second, image).probability, images)
    answers_ms, answers = timed(lambda image: generate(generated, image).token_ids, images)
    return {
        "enabled": model.uses_cuda_graphs,
        "yes_no_ms": first,
        "yes_no_cached_ms": cached,
        "generate_cached_ms": answers_ms,
        "scores": [10 * probability for probability in (*scores, *more_scores)],
        "answers": answers,
    }


def timed(function: Any, images: list[LoadedImage]) -> tuple[float, list[Any]]:
    """The median of milliseconds, without the first image, and what came out."""
    times, outputs = [], []
    for image in images:
        start = time.perf_counter()
        outputs.append(function(image))
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:]), outputs


def measure_all_conditions(model: VisionLanguageModel, folder: Path) -> Iterator[dict[str, Any]]:
    """As `lychee-rerank bench --conditions`, by both methods."""
    checkpoint = Checkpoint(folder, folder.name, "argument")
    return (asdict(measure_conditions(model, checkpoint, method, _NEW_TOKENS, rounds=2)) for method in METHODS)


def read_memory(model: VisionLanguageModel, count: int) -> Iterator[float]:
    """Peak GiB of the GPU after every fifth part of `count` images with their features computed anew."""
    messages = yes_no_messages(normalize_query(QUERIES[0]))
    for number, photo in enumerate(random_photos(count), 1):
        model.score_yes_no(messages, load_image(photo))
        if number % (count // 5) == 0:
            yield torch.cuda.max_memory_reserved(0) / GIB


@contextmanager
def ballast(free_gib: float) -> Iterator[None]:
    """Another process holds so much of the GPU that `free_gib` are left."""
    code = (
        "import sys, torch; torch.zeros(1, device='cuda'); free, _ = torch.cuda.mem_get_info(0); "
        f"block = torch.empty(free - int({free_gib} * 2**30), dtype=torch.uint8, device='cuda'); "
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def run_capped(folder: Path, images: list[LoadedImage]) -> dict[str, Any]:
    """Load with the reserve, score, and read what the GPU still has free."""
    free_before, _ = torch.cuda.mem_get_info(0)
    model, plan = load_model(folder, reserve_gib=_RESERVE_GIB)
    measured = measure(model, images)
    torch.cuda.empty_cache()
    free_after, _ = torch.cuda.mem_get_info(0)
    free = {"free_before_gib": free_before / GIB, "free_after_gib": free_after / GIB}
    return free | {"placed": plan.summary, "yes_no_ms": measured["yes_no_ms"], "graphs": measured["enabled"]}


def table(result: dict[str, Any]) -> Table:
    """With graphs beside without."""
    ways = [result["with_graphs"], result["without_graphs"]]
    difference = max(abs(a - b) for a, b in zip(*(way["scores"] for way in ways), strict=True))
    same = sum(a == b for a, b in zip(*(way["answers"] for way in ways), strict=True))
    rows = Table("", "CUDA graphs", "without", title=f"{result['gpu']}, ms a picture")
    for key in ("yes_no_ms", "yes_no_cached_ms", "generate_cached_ms"):
        rows.add_row(key, *(f"{way[key]:.2f}" for way in ways))
    rows.add_row("largest difference in score", f"{difference:.4f}", "")
    rows.add_row("same answers", f"{same} of {len(ways[0]['answers'])}", "")
    for entry in result["conditions"]:
        ratio = f"{entry['ratio']:.0%} of scoring anew, scores differ by {entry['score_difference']:.2g}"
        rows.add_row(f"conditions, {entry['method']}", ratio, "")
    rows.add_row("peak GiB", ", ".join(f"{peak:.2f}" for peak in result["memory_gib"]), "")
    capped = result["capped"]
    rows.add_row("with 24 GiB free", f"{capped['free_after_gib']:.2f} GiB left, {capped['yes_no_ms']:.1f} ms", "")
    return rows


if __name__ == "__main__":
    app()
