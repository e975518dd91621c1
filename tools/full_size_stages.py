"""The stages of `tools.full_size`, each in a process of its own, so that its peak of memory is its own:

python -m tools.full_size_stages STAGE FOLDER PICTURES NEW_TOKENS      (prints its steps as one line of JSON)
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.implementations import our_reranker
from lychee_rerank.benchmark.latency import QUERIES
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.devices.device_map import DeviceMapPlan, plan_device_map
from lychee_rerank.devices.inventory import list_devices
from lychee_rerank.devices.memory import DeviceId, cpu_usage, free_memory
from lychee_rerank.doctor.estimate import Estimate, estimate
from lychee_rerank.errors import LycheeError
from lychee_rerank.model.loading import load_model, part_sizes
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import can_generate_score
from lychee_rerank.results import ImageScore, ScoringMethod
from lychee_rerank.weights.locate import Checkpoint, find_checkpoint
from lychee_rerank.weights.model_size import vision_workload
from tools.matrix_products import MatrixProducts, synchronized_clock

RESERVE_GIB = 1.2
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One line of the table. seconds: that it took, of a picture where several were scored. peak: bytes in use at most,
    of the GPU if there is one, else of the process. plain, limit, estimate: seconds of the same work by plain
    transformers, by its matrix products alone, and as `doctor` expects.
    """

    name: str
    seconds: float
    peak: int
    plain: float | None = None
    limit: float | None = None
    estimate: float | None = None
    note: str = ""


def measure(name: str, function: Callable[[], T]) -> tuple[T, Step]:
    """What `function` returns, with its time and its peak of memory."""
    _reset_peak()
    start = synchronized_clock()
    result = function()
    return result, Step(name, synchronized_clock() - start, _peak())


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): sets VmHWM to what is resident now


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if sys.platform != "linux":
        return cpu_usage().peak
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def load(folder: Path, *, cold: bool) -> tuple[VisionLanguageModel, Checkpoint, list[Step]]:
    """Find, validate, plan, load and probe, with the weights in the system's page cache or not."""
    state = "cold" if cold else "warm"
    if cold:
        drop_from_page_cache(folder)
    checkpoint, found = measure(f"find and validate, {state}", lambda: find_checkpoint(str(folder)))
    _, planned = measure("plan", lambda: _plan(folder, free_memory()))
    (model, plan), loaded = measure(
        f"load, {state}", lambda: load_model(folder, dtype="bfloat16", reserve_gib=RESERVE_GIB)
    )
    can_generate, probed = measure("probe", lambda: can_generate_score(model))
    note = "writes scores" if can_generate else "writes no scores: yes/no"
    return model, checkpoint, [found, planned, replace(loaded, note=plan.summary), replace(probed, note=note)]


def _plan(folder: Path, free_bytes: Mapping[DeviceId, int]) -> tuple[dict[str, int], DeviceMapPlan]:
    sizes = part_sizes(folder, torch.bfloat16)
    return sizes, plan_device_map(sizes, free_bytes, RESERVE_GIB)


def drop_from_page_cache(folder: Path) -> None:
    """So that the next to read the weights reads them from the disk. Where the system offers that: on Linux."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as weights:
            os.fsync(weights.fileno())
            os.posix_fadvise(weights.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def score(folder: Path, pictures: int, new_tokens: int) -> Iterator[Step]:
    """Load with the weights in the page cache, and rank in every way, beside plain transformers."""
    expected = estimate_seconds(folder, new_tokens)
    model, checkpoint, steps = load(folder, cold=False)
    yield from steps
    files = list(random_photos(pictures + 1))  # the first takes what a query and a process take once
    yield from _score_yes_no(model, checkpoint, files, expected)
    yield from _score_generate(model, checkpoint, files, new_tokens, expected)


def estimate_seconds(folder: Path, new_tokens: int) -> Estimate | None:
    """As `doctor` does, for answers of this length."""
    devices, _ = list_devices(measure=True)
    sizes, plan = _plan(folder, {key: device.free for key, device in devices.items()})
    speeds = {key: device.speed for key, device in devices.items() if device.speed}
    return estimate(sizes, plan.device_map, vision_workload(folder), speeds, new_tokens=new_tokens)


def _score_yes_no(
    model: VisionLanguageModel, checkpoint: Checkpoint, files: list[bytes], expected: Estimate | None
) -> Iterator[Step]:
    reranker = our_reranker(model, checkpoint, "yes_no", 1)
    model.clear_cache()
    results, first = _measure_stream("yes/no, first query", lambda: reranker.stream(QUERIES[0], files))
    _, second = _measure_stream("yes/no, features kept", lambda: reranker.stream(QUERIES[1], files))
    plain, probabilities = _plain(model, "yes_no", 1, files)
    note = f"{_score_range(results)}, at most {_largest_difference(results, probabilities):.2f} from plain"
    limit, kept = _limits(model, checkpoint, "yes_no", 1, files)
    yield replace(first, plain=plain, limit=limit, estimate=expected and expected.yes_no, note=note)
    yield replace(second, plain=plain, limit=kept)


def _score_generate(
    model: VisionLanguageModel, checkpoint: Checkpoint, files: list[bytes], new_tokens: int, expected: Estimate | None
) -> Iterator[Step]:
    reranker = our_reranker(model, checkpoint, "generate", new_tokens)
    model.clear_cache()
    results, generated = _measure_stream(f"generate {new_tokens} tokens", lambda: reranker.stream(QUERIES[0], files))
    unfinished = replace(results[-1], finished=False)  # 12 more tokens: an answer of random weights never ends
    explainer = our_reranker(model, checkpoint, "generate", 2 * new_tokens)
    _, explained = measure("explain", lambda: explainer.explain(QUERIES[0], unfinished, files[-1]))
    plain, _ = _plain(model, "generate", new_tokens, files)
    limit, _ = _limits(model, checkpoint, "generate", new_tokens, files)
    yield replace(generated, plain=plain, limit=limit, estimate=expected and expected.generate)
    yield replace(explained, note=f"{new_tokens} more tokens")


def _plain(
    model: VisionLanguageModel, method: ScoringMethod, new_tokens: int, files: list[bytes]
) -> tuple[float, list[float | str]]:
    """Seconds a picture of plain transformers, and its outputs."""
    with TransformersBaseline(model, method, new_tokens) as baseline:
        outputs, step = _measure_stream("plain", lambda: baseline.stream(QUERIES[0], files))
    return step.seconds, outputs


def _measure_stream(name: str, stream: Callable[[], Iterable[T]]) -> tuple[list[T], Step]:
    """The results, and the median time of all but the first."""
    times: list[float] = []

    def run() -> Iterator[T]:
        times.append(synchronized_clock())
        for result in stream():
            times.append(synchronized_clock())
            yield result

    results, step = measure(name, lambda: list(run()))
    _, *intervals = [after - before for before, after in pairwise(times)]
    return results, replace(step, seconds=statistics.median(intervals))


def _largest_difference(results: list[ImageScore], probabilities: list[float | str]) -> float:
    return max(abs(result.score - 10 * float(plain)) for result, plain in zip(results, probabilities, strict=True))


def _score_range(results: list[ImageScore]) -> str:
    if problem := next((result.problem for result in results if result.problem), None):
        raise LycheeError(f"A picture could not be scored: {problem}")
    scores = [result.score for result in results]
    return f"scores {min(scores):.2f} to {max(scores):.2f}"


def _limits(
    model: VisionLanguageModel, checkpoint: Checkpoint, method: ScoringMethod, new_tokens: int, files: list[bytes]
) -> list[float]:
    """Seconds of the matrix products alone for a new picture, and for the same one again; the prompt is prefilled."""
    model.clear_cache()
    limits = []
    with model.without_cuda_graphs():  # which replay products unseen
        reranker = our_reranker(model, checkpoint, method, new_tokens)
        list(reranker.stream(QUERIES[0], files[:1]))
        for _ in range(2):
            with MatrixProducts() as products:
                list(reranker.stream(QUERIES[0], files[1:2]))
            with torch.inference_mode():
                limits.append(products.seconds())
    return limits


def page(folder: Path, pictures: int) -> Iterator[Step]:
    """The real page in Streamlit's AppTest, from opening it until three pictures are ranked."""
    from streamlit.testing.v1 import AppTest

    from lychee_rerank import ui

    os.environ["LYCHEE_MODEL"] = str(folder)
    state = ui._app_state(ui.load_reranker)

    def settle(app: AppTest) -> AppTest:
        while state.busy or state.library.waiting:
            time.sleep(0.05)
        return app.run()

    def rank() -> AppTest:
        app = AppTest.from_file(str(Path(__file__).parents[1] / "app.py"), default_timeout=60)
        app.query_params["lang"] = "en"
        app.run()
        photos = [(f"{number}.jpg", photo, "image/jpeg") for number, photo in enumerate(random_photos(pictures))]
        app = settle(app.file_uploader[0].set_value(photos).run())
        app.text_input(key="query").set_value(QUERIES[1])
        return settle(next(button for button in app.button if button.form_id == "query-form").click().run())

    app, step = measure(f"the page, {pictures} pictures", rank)
    status = state.job.status() if state.job else None
    if app.exception or status is None or status.error or status.done != pictures:
        raise LycheeError(f"The page did not rank the pictures: {app.exception or status}")
    yield replace(step, note=_score_range(list(status.ranking)))


@contextmanager
def _own_store() -> Iterator[None]:
    """Nothing is kept in the person's own store."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="lychee-rerank-") as store:
        os.environ["LYCHEE_STORE"] = store
        yield


def main(stage: str, folder: Path, pictures: int, new_tokens: int) -> None:
    logging.getLogger("lychee_rerank").setLevel(logging.ERROR)
    stages: dict[str, Callable[[], Iterable[Step]]] = {
        "cold": lambda: load(folder, cold=True)[2],
        "score": lambda: score(folder, pictures, new_tokens),
        "page": lambda: page(folder, 3),
    }
    with _own_store():
        try:
            print(json.dumps([asdict(step) for step in stages[stage]()]), flush=True)
        except LycheeError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
