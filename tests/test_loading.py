"""Where weights go on machines that are not this one, and what loading leaves behind."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lychee_rerank.loading import load_model, part_sizes
from lychee_rerank.memory import GIB


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
    monkeypatch.setattr("lychee_rerank.loading.free_memory", lambda: {"cpu": 8 * GIB})
    load_model(checkpoint)
    assert asked["device_map"] == "cpu"


def test_two_gpus_are_filled_one_after_the_other(
    checkpoint: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = part_sizes(checkpoint, torch.bfloat16)
    around = sum(size for part, size in sizes.items() if ".layers." not in part)
    block = sizes["model.language_model.layers.0"]
    room = GIB // 2 + around + block  # one block beside everything that stays together
    monkeypatch.setattr("lychee_rerank.loading.free_memory", lambda: {0: room, 1: GIB, "cpu": GIB})
    load_model(checkpoint, reserve_gib=0)
    placed = [asked["device_map"][f"model.language_model.layers.{number}"] for number in range(3)]
    assert (placed, asked["device_map"]["model.visual"]) == ([0, 1, 1], 0)


def test_the_folder_for_what_runs_from_disk_goes_with_the_model(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.loading.tempfile.mkdtemp", lambda prefix: str(tmp_path / prefix))
    (tmp_path / "lychee-rerank-").mkdir()
    device_map = {
        part: "disk" if part.endswith("layers.1") else "cpu" for part in part_sizes(checkpoint, torch.float32)
    }
    loaded, placement = load_model(checkpoint, dtype="float32", device_map=device_map)
    assert "1 of 3 blocks on disk" in placement.words
    assert any(tmp_path.iterdir())
    del loaded
    gc.collect()
    assert not any(tmp_path.iterdir())
