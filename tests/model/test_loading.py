"""Where weights go on machines that are not this one, and what loading leaves behind."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lychee_rerank.devices.memory import GIB
from lychee_rerank.errors import CheckpointError
from lychee_rerank.model.loading import load_model, part_sizes
from lychee_rerank.weights.locate import find_checkpoint
from support.small_checkpoints import write_checkpoint


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is asked of transformers; the weights themselves go to the CPU, the only device here."""
    options: dict[str, Any] = {}
    load = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained

    def recorded(folder: Path, **given: Any) -> Any:
        options.update(given)
        return load(folder, **{**given, "device_map": "cpu"})

    monkeypatch.setattr(transformers.Qwen2_5_VLForConditionalGeneration, "from_pretrained", recorded)
    return options


def apple(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """An Apple GPU with `room` bytes left, and no CUDA that could be asked for anything."""

    def refused(*_: object) -> None:
        raise AssertionError("there is no CUDA on this machine")

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: room)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 0)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("empty_cache", "mem_get_info", "memory_allocated", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, refused)


def test_a_model_that_fits_goes_to_an_apple_gpu_as_stored(
    checkpoint: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    apple(monkeypatch, 4 * GIB)
    load_model(checkpoint)
    assert asked["device_map"] == dict.fromkeys(part_sizes(checkpoint, torch.bfloat16), "mps")
    assert asked["dtype"] == torch.bfloat16


def test_a_model_that_does_not_fit_an_apple_gpu_runs_from_the_cpu(
    checkpoint: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    apple(monkeypatch, GIB // 4)
    load_model(checkpoint)
    assert set(asked["device_map"].values()) == {"cpu"}


def test_without_any_gpu_everything_goes_to_the_cpu(
    checkpoint: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.free_memory", lambda: {"cpu": 8 * GIB})
    load_model(checkpoint)
    assert asked["device_map"] == "cpu"


def test_two_gpus_are_filled_one_after_the_other(
    checkpoint: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = part_sizes(checkpoint, torch.bfloat16)
    around = sum(size for part, size in sizes.items() if ".layers." not in part)
    block = sizes["model.language_model.layers.0"]
    room = GIB // 2 + around + block  # one block beside everything that stays together
    monkeypatch.setattr(
        "lychee_rerank.model.loading.free_memory", lambda: {0: room, 1: GIB // 2 + 2 * block, "cpu": GIB}
    )
    load_model(checkpoint, reserve_gib=0)
    placed = [asked["device_map"][f"model.language_model.layers.{number}"] for number in range(3)]
    assert (placed, asked["device_map"]["model.visual"]) == ([0, 1, 1], 0)


def test_the_folder_for_what_runs_from_disk_goes_with_the_model(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.tempfile.mkdtemp", lambda prefix: str(tmp_path / prefix))
    (tmp_path / "lychee-rerank-").mkdir()
    device_map = {
        part: "disk" if part.endswith("layers.1") else "cpu" for part in part_sizes(checkpoint, torch.float32)
    }
    loaded, placement = load_model(checkpoint, dtype="float32", device_map=device_map)
    assert "1 of 3 blocks on disk" in placement.summary
    assert any(tmp_path.iterdir())
    del loaded
    gc.collect()
    assert not any(tmp_path.iterdir())


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def rewrite(folder: Path, name: str, weight: torch.Tensor | None) -> None:
    """One of the weights, changed or taken away."""
    assert name in load_file(folder / "model.safetensors")
    weights = {**load_file(folder / "model.safetensors"), name: weight}
    kept = {name: weight for name, weight in weights.items() if weight is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "weight", "words"),
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
    folder: Path, name: str, weight: torch.Tensor | None, words: str
) -> None:
    rewrite(folder, name, weight)
    with pytest.raises(CheckpointError, match=words):
        load_model(folder, device_map="cpu")


@pytest.mark.parametrize(
    "template", ["{% for", "<|image_pad|><|image_pad|>", "{{ raise_exception('no <|image_pad|>') }}"]
)
def test_a_template_that_cannot_place_one_picture_is_refused_before_the_weights_are_read(
    folder: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    monkeypatch.setattr("lychee_rerank.model.loading._weights", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(CheckpointError):
        load_model(folder, device_map="cpu")


def test_code_that_a_checkpoint_brings_along_is_never_run_nor_asked_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Own: pass\n", encoding="utf-8")
    named = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor"), "own.Own")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**content, "auto_map": named, "model_type": "qwen2_5_vl"}), "utf-8")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a person was asked"))
    find_checkpoint(str(folder))
    load_model(folder, device_map="cpu")
    part_sizes(folder, torch.bfloat16)
    assert not (folder / "ran").exists()


def test_picture_settings_in_the_file_that_todays_transformers_writes_are_read(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    (folder / "preprocessor_config.json").unlink()
    written = {"image_processor": {**settings, "max_pixels": 3136 * 9}}
    (folder / "processor_config.json").write_text(json.dumps(written), encoding="utf-8")
    loaded, _ = load_model(folder, device_map="cpu")
    assert loaded.image_processor.size["longest_edge"] == 3136 * 9


def test_both_layouts_of_keys_tied_or_not_are_whole_and_hold_the_same(tmp_path: Path) -> None:
    for tied in (False, True):
        old = write_checkpoint(tmp_path / f"old-{tied}", tied=tied)
        new = Path(shutil.copytree(old, tmp_path / f"new-{tied}"))
        weights = load_file(old / "model.safetensors")
        renamed = {_in_new_layout(name): weight for name, weight in weights.items()}
        assert set(renamed) & set(weights) <= {"lm_head.weight"}
        save_file(renamed, new / "model.safetensors", metadata={"format": "pt"})
        held = [load_model(find_checkpoint(str(folder)).path)[0].model.state_dict() for folder in (old, new)]
        assert held[0].keys() == held[1].keys()
        assert all(torch.equal(weight, held[1][name]) for name, weight in held[0].items())


def _in_new_layout(name: str) -> str:
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)
