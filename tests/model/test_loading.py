"""A checkpoint folder is loaded whole and as stored, onto the devices there are, or refused."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lychee_rerank.devices.device_map import WORKSPACE_BYTES
from lychee_rerank.devices.memory import GIB, DeviceMemory
from lychee_rerank.errors import CheckpointError, OutOfMemoryError
from lychee_rerank.model.loading import load_model, part_sizes
from lychee_rerank.reranker import Reranker
from lychee_rerank.weights.locate import find_checkpoint
from support.images import encode, patchwork
from support.small_checkpoints import write_checkpoint, write_published


@pytest.fixture
def from_pretrained_kwargs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What transformers is called with; the weights themselves go to the CPU."""
    recorded: dict[str, Any] = {}
    from_pretrained = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained

    def record(folder: Path, **kwargs: Any) -> Any:
        recorded.update(kwargs)
        return from_pretrained(folder, **{**kwargs, "device_map": "cpu"})

    monkeypatch.setattr(transformers.Qwen2_5_VLForConditionalGeneration, "from_pretrained", record)
    return recorded


def set_apple_gpu(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    """A machine with an Apple GPU and no CUDA."""

    def fail(*_: object) -> None:
        raise AssertionError("there is no CUDA on this machine")

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: free_bytes)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 0)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 0)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("empty_cache", "mem_get_info", "memory_allocated", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, fail)


def test_a_model_that_fits_goes_to_an_apple_gpu_as_stored(
    checkpoint: Path, from_pretrained_kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_apple_gpu(monkeypatch, 4 * GIB)
    load_model(checkpoint)
    assert from_pretrained_kwargs["device_map"] == dict.fromkeys(part_sizes(checkpoint, torch.bfloat16), "mps")
    assert from_pretrained_kwargs["dtype"] == torch.bfloat16


@pytest.mark.parametrize(("computes_bfloat16", "dtype"), [(True, "bfloat16"), (False, "float32")])
@pytest.mark.parametrize("device_map", ["auto", "cpu"])
def test_on_a_cpu_the_weights_have_the_type_that_it_computes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, computes_bfloat16: bool, dtype: str, device_map: str
) -> None:
    for module in ("loading", "dtype"):
        monkeypatch.setattr(f"lychee_rerank.model.{module}.computes_bfloat16", lambda: computes_bfloat16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded, plan = load_model(checkpoint, device_map=device_map)
    assert {str(weight.dtype) for weight in loaded.model.parameters()} == {f"torch.{dtype}"}
    assert plan.dtype == dtype


def test_a_type_that_was_asked_for_is_taken(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.computes_bfloat16", lambda: False)
    assert load_model(checkpoint, dtype="bfloat16", device_map="cpu")[1].dtype == "bfloat16"


def test_a_model_that_does_not_fit_an_apple_gpu_runs_from_the_cpu(
    checkpoint: Path, from_pretrained_kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_apple_gpu(monkeypatch, GIB // 4)
    load_model(checkpoint)
    assert set(from_pretrained_kwargs["device_map"].values()) == {"cpu"}


def test_without_any_gpu_everything_goes_to_the_cpu(
    checkpoint: Path, from_pretrained_kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.free_memory", lambda: {"cpu": 8 * GIB})
    load_model(checkpoint)
    assert from_pretrained_kwargs["device_map"] == "cpu"


@pytest.mark.parametrize("device_map", ["auto", "cpu"])
def test_too_little_memory_is_reported_before_the_weights_are_read(
    checkpoint: Path, device_map: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = DeviceMemory("cpu", used=0, peak=0, free=GIB // 4, total=GIB)
    monkeypatch.setattr("lychee_rerank.model.loading.cpu_usage", lambda: few)
    monkeypatch.setattr("lychee_rerank.model.loading.free_memory", lambda: {"cpu": few.free})
    monkeypatch.setattr("lychee_rerank.model.loading._load_weights", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(OutOfMemoryError, match=r"it needs 513 MiB, and 256 MiB of CPU memory are free"):
        load_model(checkpoint, device_map=device_map)


def test_two_gpus_are_filled_one_after_the_other(
    checkpoint: Path, from_pretrained_kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = part_sizes(checkpoint, torch.bfloat16)
    non_blocks = sum(size for part, size in sizes.items() if ".layers." not in part)
    block = sizes["model.language_model.layers.0"]
    free_bytes = {0: WORKSPACE_BYTES + non_blocks + block, 1: WORKSPACE_BYTES + 2 * block, "cpu": GIB}
    monkeypatch.setattr("lychee_rerank.model.loading.free_memory", lambda: free_bytes)
    load_model(checkpoint, reserve_gib=0)
    device_map = from_pretrained_kwargs["device_map"]
    assert [device_map[f"model.language_model.layers.{number}"] for number in range(3)] == [0, 1, 1]
    assert device_map["model.visual"] == 0


def test_the_folder_for_offloaded_weights_is_deleted_with_the_model(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.tempfile.mkdtemp", lambda prefix: str(tmp_path / prefix))
    (tmp_path / "lychee-rerank-").mkdir()
    device_map = {
        part: "disk" if part.endswith("layers.1") else "cpu" for part in part_sizes(checkpoint, torch.float32)
    }
    loaded, plan = load_model(checkpoint, dtype="float32", device_map=device_map)
    assert "1 of 3 blocks on disk" in plan.summary
    assert any(tmp_path.iterdir())
    del loaded
    gc.collect()
    assert not any(tmp_path.iterdir())


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def set_weight(folder: Path, name: str, weight: torch.Tensor | None) -> None:
    """Another tensor for one of the weights; None removes it."""
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    changed = weights if weight is None else {**weights, name: weight}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_are_not_loaded_are_not_checked(folder: Path) -> None:
    save_file({"norm.weight": torch.full((96,), torch.nan)}, folder / "an-older-download.safetensors")
    assert load_model(folder, dtype="float32", device_map="cpu")


@pytest.mark.parametrize(
    ("name", "weight", "reason"),
    [
        ("visual.merger.ln_q.weight", None, "its weights do not hold model.visual.merger.ln_q.weight"),
        (
            "model.norm.weight",
            torch.ones(5),
            r"norm.weight has the shape \(5,\), and .* asks for \(96,\)",
        ),
        (
            "model.norm.weight",
            torch.full((96,), torch.nan),
            "norm.weight holds values that are no numbers",
        ),
        ("lm_head.weight", torch.full((319, 96), -torch.inf), "lm_head.weight holds values that are no numbers"),
    ],
)
def test_weights_that_would_give_scores_that_only_look_right_are_refused(
    folder: Path, name: str, weight: torch.Tensor | None, reason: str
) -> None:
    set_weight(folder, name, weight)
    with pytest.raises(CheckpointError, match=reason):
        load_model(folder, device_map="cpu")


@pytest.mark.parametrize(
    "template", ["{% for", "<|image_pad|><|image_pad|>", "{{ raise_exception('no <|image_pad|>') }}"]
)
def test_a_template_without_exactly_one_place_for_the_image_is_refused_before_the_weights_are_read(
    folder: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    monkeypatch.setattr("lychee_rerank.model.loading._load_weights", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(CheckpointError):
        load_model(folder, device_map="cpu")


def test_an_unknown_architecture_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["Other"]}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="not of a supported family"):
        load_model(folder, device_map="cpu")
    with pytest.raises(CheckpointError, match="describes Other, not a Qwen2.5-VL or Qwen3-VL"):
        Reranker.from_pretrained(str(folder))


def test_a_damaged_checkpoint_is_refused_before_loading(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "damaged")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00002.safetensors is missing"):
        Reranker.from_pretrained(str(folder))


def test_code_that_a_checkpoint_brings_along_is_never_run_nor_asked_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Own: pass\n", encoding="utf-8")
    auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor"), "own.Own")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**content, "auto_map": auto_map, "model_type": "qwen2_5_vl"}), "utf-8")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the person was asked"))
    find_checkpoint(str(folder))
    load_model(folder, device_map="cpu")
    part_sizes(folder, torch.bfloat16)
    assert not (folder / "ran").exists()


def test_image_processor_settings_in_processor_config_json_are_read(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    (folder / "preprocessor_config.json").unlink()
    nested = {"image_processor": {**settings, "max_pixels": 3136 * 9}}
    (folder / "processor_config.json").write_text(json.dumps(nested), encoding="utf-8")
    loaded, _ = load_model(folder, device_map="cpu")
    assert loaded.image_processor.size["longest_edge"] == 3136 * 9


def test_both_layouts_of_keys_load_the_same_weights_tied_or_not(tmp_path: Path) -> None:
    for tied in (False, True):
        old = write_checkpoint(tmp_path / f"old-{tied}", tied=tied)
        new = Path(shutil.copytree(old, tmp_path / f"new-{tied}"))
        weights = load_file(old / "model.safetensors")
        renamed = {to_new_layout(name): weight for name, weight in weights.items()}
        assert set(renamed) & set(weights) <= {"lm_head.weight"}
        save_file(renamed, new / "model.safetensors", metadata={"format": "pt"})
        loaded = [load_model(find_checkpoint(str(folder)).path)[0].model.state_dict() for folder in (old, new)]
        assert loaded[0].keys() == loaded[1].keys()
        assert all(torch.equal(weight, loaded[1][name]) for name, weight in loaded[0].items())


def to_new_layout(name: str) -> str:
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)


def answers(folder: Path, method: Literal["yes_no", "generate"], **kwargs: Any) -> list[tuple[float, str]]:
    images = [encode(patchwork(seed)) for seed in range(2)]
    reranker = Reranker.from_pretrained(str(folder), method=method, dtype="float32", **{"device_map": "cpu", **kwargs})
    results = list(reranker.stream("猫", images))
    assert all(result.problem is None for result in results)
    return [(pytest.approx(result.score, abs=1e-4), result.answer) for result in results]


def test_the_published_layout_gives_the_same_scores(checkpoint: Path, published: Path) -> None:
    assert answers(published, "yes_no") == answers(checkpoint, "yes_no")


def test_the_early_name_of_the_image_processor_is_read(tmp_path: Path, checkpoint: Path) -> None:
    folder = write_published(tmp_path / "early", processor="Qwen2_5_VLImageProcessor")
    assert answers(folder, "yes_no") == answers(checkpoint, "yes_no")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["yes_no", "generate"])
def test_blocks_run_from_disk_give_the_same_scores_and_answers(
    checkpoint: Path, method: Literal["yes_no", "generate"]
) -> None:
    parts = part_sizes(checkpoint, torch.float32)
    device_map = {part: "disk" if part.endswith(("layers.1", "layers.2")) else "cpu" for part in parts}
    assert answers(checkpoint, method, device_map=device_map) == answers(checkpoint, method)


def test_the_sizes_of_the_parts_add_up_to_the_weights(tmp_path: Path) -> None:
    for tied in (False, True):
        folder = write_checkpoint(tmp_path / f"tied-{tied}", tied=tied)
        loaded, _ = load_model(folder, dtype="float32", device_map="cpu")
        sizes = part_sizes(folder, torch.float32)
        assert sum(sizes.values()) == sum(weight.nbytes for weight in loaded.model.parameters())
        assert (sizes["lm_head"] == 0) == tied
