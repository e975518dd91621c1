"""Failures of real machines, with a real model: memory runs out, a GPU is lost, loading fails, models are switched."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from lychee_rerank.devices.memory import MIB
from lychee_rerank.errors import CheckpointError, LycheeError, ModelError, OutOfMemoryError
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.rankings.archive import open_archive
from lychee_rerank.rankings.export import to_csv
from lychee_rerank.rankings.job import Job
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, ScoringMethod
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.locate import Checkpoint
from support.images import encode, patchwork
from support.library_images import library_image
from support.small_checkpoints import write_checkpoint, write_qwen3

pytestmark = pytest.mark.slow  # loads a model in nearly every test

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
YES_NO = ScoringOptions("yes_no")
GPU_LOST = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later.")


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [encode(patchwork(seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VisionLanguageModel:
    return load_model(checkpoint, dtype="float32", device_map="cpu")[0]


@pytest.fixture
def reranker(model: VisionLanguageModel, checkpoint: Path) -> Reranker:
    model.clear_cache()
    return Reranker(model, checkpoint=Checkpoint(checkpoint, "small", "argument"), options=YES_NO)


@contextmanager
def raising(module: torch.nn.Module, errors: Iterator[Exception | None]) -> Iterator[None]:
    """Each forward pass of the module raises the next of `errors`, or passes where that is None."""

    def hook(*_: object) -> None:
        if (error := next(errors)) is not None:
            raise error

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def scored(
    reranker: Reranker, images: list[bytes], errors: Iterator[Exception | None], options: ScoringOptions = YES_NO
) -> list[ImageScore]:
    """With errors raised by the vision tower, which runs once for each attempt to score an image."""
    with raising(reranker._backend.model.model.visual, errors):  # type: ignore[attr-defined]
        return list(reranker.stream("猫", images, options=options))


def codes(results: list[ImageScore]) -> list[str | None]:
    return [result.problem and result.problem.code for result in results]


def test_memory_that_runs_out_once_costs_no_score(reranker: Reranker, images: list[bytes]) -> None:
    undisturbed = [result.score for result in reranker.stream("猫", images)]
    reranker.clear_cache()
    results = scored(reranker, images, chain([None, OUT_OF_MEMORY], repeat(None)))
    assert codes(results) == [None] * 4
    assert [result.score for result in results] == pytest.approx(undisturbed, abs=1e-4)


def test_memory_that_runs_out_twice_costs_that_image_alone(reranker: Reranker, images: list[bytes]) -> None:
    results = scored(reranker, images, chain([None, OUT_OF_MEMORY, OUT_OF_MEMORY], repeat(None)))
    assert codes(results) == [None, "out_of_memory", None, None]


def test_memory_that_is_never_enough_ends_no_run(reranker: Reranker, images: list[bytes]) -> None:
    assert codes(scored(reranker, images, repeat(OUT_OF_MEMORY))) == ["out_of_memory"] * 4
    assert codes(list(reranker.stream("猫", images))) == [None] * 4


def test_memory_that_runs_out_on_an_apple_gpu_is_tried_again_too(reranker: Reranker, images: list[bytes]) -> None:
    apple = RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB, max allowed: 9.07 GiB).")
    assert codes(scored(reranker, images, chain([apple], repeat(None)))) == [None] * 4


@pytest.mark.parametrize("method", ["yes_no", "generate"])
def test_a_pass_that_fails_in_the_middle_leaves_later_scores_as_they_are(
    reranker: Reranker, model: VisionLanguageModel, images: list[bytes], method: ScoringMethod
) -> None:
    options = ScoringOptions(method)
    undisturbed = list(reranker.stream("猫", images, options=options))
    block = model.model.model.language_model.layers[1]
    with raising(block, chain([None, OUT_OF_MEMORY], repeat(None))):
        results = list(reranker.stream("猫", images, options=options))
    assert [result.answer for result in results] == [result.answer for result in undisturbed]
    assert [result.score for result in results] == pytest.approx([r.score for r in undisturbed], abs=1e-4)


def test_a_lost_gpu_keeps_the_ranking_so_far_and_says_what_to_do(reranker: Reranker, images: list[bytes]) -> None:
    results = scored(reranker, images, chain([None, None], repeat(GPU_LOST)))
    assert codes(results) == [None, None, "model_failed", "model_failed"]
    assert "the GPU stopped answering (CUDA error: unspecified launch failure)" in str(results[2].error)
    assert "restarted" in str(results[2].error)


def test_a_ranking_that_lost_its_gpu_ends_and_can_be_exported(
    reranker: Reranker, model: VisionLanguageModel, images: list[bytes]
) -> None:
    job_images = [library_image(f"{index}.png", image) for index, image in enumerate(images)]
    with raising(model.model.model.visual, chain([None, None], repeat(GPU_LOST))):
        options = ScoringOptions("generate")
        job = Job(normalize_query("猫"), job_images, lambda: (reranker, options), open_archive())
        job.wait(60)
    status = job.status()
    assert (status.state, status.done) == ("done", 4)
    assert codes(list(status.ranking)) == [None, None, "model_failed", "model_failed"]
    assert to_csv(status.ranking).count(b"GPU stopped answering") == 2


def test_a_gpu_lost_while_memory_is_released_ends_no_run(
    reranker: Reranker, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise GPU_LOST

    monkeypatch.setattr("lychee_rerank.devices.memory._empty_caches", fail)
    monkeypatch.setattr("lychee_rerank.devices.memory._RELEASE_INTERVAL_S", 0.0)
    assert codes(scored(reranker, images, chain([None, OUT_OF_MEMORY], repeat(GPU_LOST)))) == [
        None,
        *["model_failed"] * 3,
    ]


def test_an_answer_that_is_not_a_number_is_no_score(
    reranker: Reranker, model: VisionLanguageModel, images: list[bytes]
) -> None:
    norm = model.model.model.language_model.norm
    handle = norm.register_forward_hook(lambda _module, _inputs, output: output * float("nan"))
    results = list(reranker.stream("猫", images))
    handle.remove()
    assert codes(results) == ["model_failed"] * 4
    assert codes(list(reranker.stream("猫", images))) == [None] * 4


def test_a_gpu_lost_while_explaining_leaves_the_result_as_it_is(
    reranker: Reranker, model: VisionLanguageModel, images: list[bytes]
) -> None:
    options = ScoringOptions("generate")
    result = next(reranker.stream("猫", images, options=options))
    reranker.clear_cache()
    with raising(model.model.model.visual, repeat(GPU_LOST)):
        assert reranker.explain("猫", result, images[0], options=options) == result


def give_a_weight_another_shape(folder: Path, _: pytest.MonkeyPatch) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.language_model.layers.2.mlp.up_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def remove_yes_from_the_vocabulary(folder: Path, _: pytest.MonkeyPatch) -> None:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")


def run_out_of_memory_in(function: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def fail(*_: object) -> None:
        raise OUT_OF_MEMORY

    return lambda _, monkeypatch: monkeypatch.setattr(f"lychee_rerank.model.vision_tower.VisionTower.{function}", fail)


LOADING_FAILURES: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], type[LycheeError]]] = {
    "a weight of another shape": (give_a_weight_another_shape, CheckpointError),
    "a vocabulary without yes": (remove_yes_from_the_vocabulary, ModelError),
    "out of memory at the end of loading": (run_out_of_memory_in("__init__"), OutOfMemoryError),
    "out of memory at the first answer": (run_out_of_memory_in("__call__"), OutOfMemoryError),
}


def live_models() -> list[PreTrainedModel]:
    gc.collect()
    return [instance for instance in gc.get_objects() if issubclass(type(instance), PreTrainedModel)]


def live_tensor_bytes() -> int:
    gc.collect()
    return sum(instance.nbytes for instance in gc.get_objects() if issubclass(type(instance), torch.Tensor))


@pytest.mark.parametrize("failure", LOADING_FAILURES)
def test_a_load_that_fails_keeps_no_weights_and_the_demo_still_loads(
    tmp_path: Path, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cause_failure, error_type = LOADING_FAILURES[failure]
    folder = write_checkpoint(tmp_path / "broken")
    before = len(live_models())
    with monkeypatch.context() as patch:
        cause_failure(folder, patch)
        with pytest.raises(error_type) as refused:
            Reranker.from_pretrained(str(folder), device_map="cpu")
    assert "\n" not in str(refused.value)
    assert len(live_models()) == before  # though the error and its traceback are still referenced
    demo = Reranker.from_pretrained("demo", method="yes_no", device_map="cpu")
    assert codes(list(demo.stream("猫", [encode(patchwork(1))]))) == [None]


def test_an_earlier_model_is_freed_before_the_next_one_loads(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = Reranker.from_pretrained(str(checkpoint), method="yes_no", device_map="cpu")
    next(earlier.stream("猫", [encode(patchwork(1))]))
    vision_tower = weakref.ref(earlier._backend.model.model.visual)  # type: ignore[attr-defined]
    del earlier
    alive: list[object] = []
    monkeypatch.setattr(
        "lychee_rerank.model.loading._plan_device_map", lambda *_: alive.append(vision_tower()) or "cpu"
    )
    gc.disable()  # so that it is not freed by chance
    try:
        Reranker.from_pretrained(str(checkpoint), method="yes_no")
    finally:
        gc.enable()
    assert alive == [None]


@pytest.mark.slow
def test_ten_switches_between_models_leave_nothing_behind(tmp_path: Path, images: list[bytes]) -> None:
    folders = [write_checkpoint(tmp_path / "one"), write_qwen3(tmp_path / "two")]
    memory_info = psutil.Process().memory_info

    def load_and_score(folder: Path) -> None:
        reranker = Reranker.from_pretrained(str(folder), method="yes_no", dtype="float32", device_map="cpu")
        assert codes(list(reranker.stream("猫", images))) == [None] * 4

    for folder in folders * 2:
        load_and_score(folder)
    models, tensor_bytes, resident = len(live_models()), live_tensor_bytes(), memory_info().rss
    for switch in range(10):
        load_and_score(folders[switch % 2])
    assert len(live_models()) == models
    assert live_tensor_bytes() - tensor_bytes < 1024  # transformers keeps the last few grids
    assert memory_info().rss - resident < 8 * MIB
