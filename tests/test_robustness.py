"""What goes wrong on real machines, with real parts: memory that runs out, a GPU that is lost, a load that breaks off,
models that come and go.
"""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from lychee_rerank.errors import CheckpointError, LycheeError, ModelError, OutOfMemoryError
from lychee_rerank.rankings.export import to_csv
from lychee_rerank.rankings.job import Job, JobImage
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import normalize_query
from support.images import encoded, patchwork
from support.small_checkpoints import write_checkpoint, write_qwen3

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
LOST = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later.")
MEBIBYTE = 1024**2


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [encoded(patchwork(seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> Reranker:
    return Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map="cpu")


@pytest.fixture
def reranker(loaded: Reranker) -> Reranker:
    loaded.options = replace(loaded.options, method="yes_no")
    loaded.clear_cache()
    return loaded


@contextmanager
def raising(reranker: Reranker, passes: Iterator[Exception | None]) -> Iterator[None]:
    """The vision tower, which runs once a try, raises what `passes` gives."""

    def hook(*_: object) -> None:
        if (error := next(passes)) is not None:
            raise error

    handle = reranker._model.model.model.visual.register_forward_pre_hook(hook)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        handle.remove()


def interrupted(reranker: Reranker, pictures: list[bytes], passes: Iterator[Exception | None]) -> list[ImageScore]:
    with raising(reranker, passes):
        return list(reranker.stream("猫", pictures))


def codes(results: list[ImageScore]) -> list[str | None]:
    return [result.problem and result.problem.code for result in results]


def test_memory_that_runs_out_once_costs_no_score(reranker: Reranker, pictures: list[bytes]) -> None:
    undisturbed = [result.score for result in reranker.stream("猫", pictures)]
    reranker.clear_cache()
    results = interrupted(reranker, pictures, chain([None, FULL], repeat(None)))
    assert codes(results) == [None] * 4
    assert [result.score for result in results] == pytest.approx(undisturbed, abs=1e-4)


def test_memory_that_runs_out_twice_costs_that_picture_alone(reranker: Reranker, pictures: list[bytes]) -> None:
    results = interrupted(reranker, pictures, chain([None, FULL, FULL], repeat(None)))
    assert codes(results) == [None, "out_of_memory", None, None]


def test_memory_that_is_never_enough_ends_no_run(reranker: Reranker, pictures: list[bytes]) -> None:
    assert codes(interrupted(reranker, pictures, repeat(FULL))) == ["out_of_memory"] * 4
    assert codes(list(reranker.stream("猫", pictures))) == [None] * 4


def test_memory_told_of_in_other_words_is_tried_again_too(reranker: Reranker, pictures: list[bytes]) -> None:
    apple = RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB, max allowed: 9.07 GiB).")
    assert codes(interrupted(reranker, pictures, chain([apple], repeat(None)))) == [None] * 4


@pytest.mark.parametrize("method", ["yes_no", "generate"])
def test_a_pass_cut_in_the_middle_leaves_later_scores_as_they_are(
    reranker: Reranker, pictures: list[bytes], method: str
) -> None:
    reranker.options = replace(reranker.options, method=method)
    undisturbed = list(reranker.stream("猫", pictures))
    passes = chain([None, FULL], repeat(None))

    def hook(*_: object) -> None:
        if (error := next(passes)) is not None:
            raise error

    block = reranker._model.model.model.language_model.layers[1]  # type: ignore[attr-defined]
    handle = block.register_forward_pre_hook(hook)
    results = list(reranker.stream("猫", pictures))
    handle.remove()
    assert [result.answer for result in results] == [result.answer for result in undisturbed]
    assert [result.score for result in results] == pytest.approx([r.score for r in undisturbed], abs=1e-4)


def test_a_lost_gpu_keeps_the_ranking_so_far_and_says_what_to_do(reranker: Reranker, pictures: list[bytes]) -> None:
    results = interrupted(reranker, pictures, chain([None, None], repeat(LOST)))
    assert codes(results) == [None, None, "model_failed", "model_failed"]
    assert "the GPU stopped answering (CUDA error: unspecified launch failure)" in str(results[2].error)
    assert "restarted" in str(results[2].error)


def test_a_ranking_that_lost_its_gpu_ends_and_can_be_exported(reranker: Reranker, pictures: list[bytes]) -> None:
    passes = chain([None, None], repeat(LOST))
    reranker.options = replace(reranker.options, method="generate")
    with raising(reranker, passes):
        named = [JobImage(str(number), f"{number}.png", picture) for number, picture in enumerate(pictures)]
        job = Job(normalize_query("猫"), named, lambda: reranker)
        job.wait(60)
    ended = job.status()
    assert (ended.state, ended.done) == ("done", 4)
    assert codes(list(ended.ranking)) == [None, None, "model_failed", "model_failed"]
    assert to_csv(ended.ranking).count(b"GPU stopped answering") == 2


def test_a_gpu_lost_while_memory_is_given_back_ends_no_run(
    reranker: Reranker, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise LOST

    monkeypatch.setattr("lychee_rerank.devices.memory._empty_caches", lost)
    monkeypatch.setattr("lychee_rerank.devices.memory._SECONDS_BETWEEN_RELEASES", 0.0)
    assert codes(interrupted(reranker, pictures, chain([None, FULL], repeat(LOST)))) == [None, *["model_failed"] * 3]


def test_an_answer_that_is_not_a_number_is_no_score(reranker: Reranker, pictures: list[bytes]) -> None:
    norm = reranker._model.model.model.language_model.norm  # type: ignore[attr-defined]
    handle = norm.register_forward_hook(lambda _module, _inputs, output: output * float("nan"))
    results = list(reranker.stream("猫", pictures))
    handle.remove()
    assert codes(results) == ["model_failed"] * 4
    assert codes(list(reranker.stream("猫", pictures))) == [None] * 4


def test_a_gpu_lost_while_explaining_leaves_the_result_as_it_is(reranker: Reranker, pictures: list[bytes]) -> None:
    reranker.options = replace(reranker.options, method="generate")
    result = next(reranker.stream("猫", pictures))
    reranker.clear_cache()
    with raising(reranker, repeat(LOST)):
        assert reranker.explain("猫", result, pictures[0]) == result


def wrong_shape(folder: Path, _: pytest.MonkeyPatch) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.language_model.layers.2.mlp.up_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def no_yes(folder: Path, _: pytest.MonkeyPatch) -> None:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")


def full_at_the_end(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("lychee_rerank.model.vision_tower.VisionTower.__init__", raises)


def full_at_the_first_answer(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("lychee_rerank.model.vision_tower.VisionTower.__call__", raises)


BREAKS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], type[LycheeError]]] = {
    "a weight of another shape": (wrong_shape, CheckpointError),
    "a vocabulary without yes": (no_yes, ModelError),
    "memory full at the end of loading": (full_at_the_end, OutOfMemoryError),
    "memory full at the first answer": (full_at_the_first_answer, OutOfMemoryError),
}


def live_models() -> list[PreTrainedModel]:
    gc.collect()
    return [found for found in gc.get_objects() if issubclass(type(found), PreTrainedModel)]


@pytest.mark.parametrize("reason", BREAKS)
def test_a_load_that_breaks_off_keeps_no_weights_and_the_demo_still_loads(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it, kind = BREAKS[reason]
    folder = write_checkpoint(tmp_path / "broken")
    before = len(live_models())
    with monkeypatch.context() as patch:
        break_it(folder, patch)
        with pytest.raises(kind) as refused:
            Reranker.from_pretrained(str(folder), device_map="cpu")
    assert "\n" not in str(refused.value)
    assert len(live_models()) == before  # though the error, with the way it came, is still at hand
    demo = Reranker.from_pretrained("demo", method="yes_no", device_map="cpu")
    assert codes(list(demo.stream("猫", [encoded(patchwork(1))]))) == [None]


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "other")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["Other"]}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="describes Other, not a Qwen2.5-VL or Qwen3-VL"):
        Reranker.from_pretrained(str(folder))


def test_what_an_earlier_model_held_is_free_before_the_next_one_loads(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = Reranker.from_pretrained(str(checkpoint), method="yes_no", device_map="cpu")
    next(earlier.stream("猫", [encoded(patchwork(1))]))
    alive = weakref.ref(earlier._model.model.model.visual)  # type: ignore[attr-defined]
    del earlier
    seen: list[object] = []
    monkeypatch.setattr("lychee_rerank.model.loading._planned", lambda *_: seen.append(alive()) or "cpu")
    gc.disable()  # not by luck
    try:
        Reranker.from_pretrained(str(checkpoint), method="yes_no")
    finally:
        gc.enable()
    assert seen == [None]


def test_ten_switches_between_models_leave_nothing_behind(tmp_path: Path, pictures: list[bytes]) -> None:
    folders = [write_checkpoint(tmp_path / "one"), write_qwen3(tmp_path / "two")]
    resident = psutil.Process().memory_info

    def use(folder: Path) -> None:
        reranker = Reranker.from_pretrained(str(folder), method="yes_no", dtype="float32", device_map="cpu")
        assert codes(list(reranker.stream("猫", pictures))) == [None] * 4

    for folder in folders * 2:
        use(folder)
    models, tensors, start = len(live_models()), live_bytes(), resident().rss
    for switch in range(10):
        use(folders[switch % 2])
    assert len(live_models()) == models
    assert live_bytes() - tensors < 1024  # transformers keeps the last few grids
    assert resident().rss - start < 8 * MEBIBYTE


def live_bytes() -> int:
    gc.collect()
    return sum(found.nbytes for found in gc.get_objects() if issubclass(type(found), torch.Tensor))
