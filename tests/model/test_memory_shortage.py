"""describe_shortage: what a model needs, what is free and what would fit, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lychee_rerank.cli import app
from lychee_rerank.devices.device_map import WORKSPACE_BYTES
from lychee_rerank.devices.memory import GIB, DeviceId
from lychee_rerank.model.memory_shortage import describe_shortage
from lychee_rerank.weights.model_size import DEFAULT_MODEL_PART_SIZES
from support.images import encode, patchwork

TOTAL = sum(DEFAULT_MODEL_PART_SIZES.values())


def shortage(free: Mapping[DeviceId, float], reserve_gib: float = 1.2) -> str:
    free_bytes = {device: int(gib * GIB) for device, gib in free.items()}
    return describe_shortage(DEFAULT_MODEL_PART_SIZES, free_bytes, reserve_gib, name="lychee")


def test_weights_and_workspace_fit_to_the_byte() -> None:
    needed = TOTAL + WORKSPACE_BYTES
    assert not describe_shortage(DEFAULT_MODEL_PART_SIZES, {"cpu": needed}, 1.2)
    assert describe_shortage(DEFAULT_MODEL_PART_SIZES, {"cpu": needed - 1}, 1.2)


def test_need_and_free_memory_are_said_with_a_smaller_model_that_fits() -> None:
    assert shortage({"cpu": 9}) == (
        "There is too little memory for lychee: it needs 15.9 GiB, and 9.0 GiB of CPU memory are free. What helps: "
        "close other programs; take a 3B model, which needs 7.5 GiB; or let another machine score (`--server`)."
    )
    assert "take Qwen/Qwen3-VL-Reranker-2B, which needs 4.5 GiB" in shortage({"cpu": 5})
    assert "take" not in shortage({"cpu": 3})


@pytest.mark.parametrize(
    "free", [{0: 20, "cpu": 2}, {0: 11, "cpu": 9}, {"mps": 18, "cpu": 18}, {0: 8, 1: 14, "cpu": 1}, {"cpu": 16}]
)
def test_where_the_model_fits_nothing_is_said(free: dict[DeviceId, float]) -> None:
    assert not shortage(free)


def test_a_model_that_would_run_from_the_disk_does_not_fit() -> None:
    assert "it needs 15.9 GiB, and 8.0 GiB of GPU 0 and 4.0 GiB of CPU memory are free" in shortage({0: 8, "cpu": 4})


@pytest.mark.parametrize(("gib", "bits"), [(11.5, "8"), (8.5, "4")])
def test_fewer_bits_help_where_the_gpu_holds_the_model_in_them(gib: float, bits: str) -> None:
    assert f'load it in {bits} bits (`quantize="{bits}bit"`' in shortage({0: gib, "cpu": 2})
    assert "bits" not in shortage({"cpu": 9})


def test_another_reserve_helps_where_the_gpu_then_holds_enough() -> None:
    assert "keep 0.8 GiB free on the GPU instead of 4 (`--reserve 0.8`)" in shortage({0: 18, "cpu": 2}, reserve_gib=4)


def test_the_sentence_reaches_the_command_line(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.model.loading.free_memory", lambda: {"cpu": GIB // 4})
    (tmp_path / "a.png").write_bytes(encode(patchwork(0)))
    result = CliRunner().invoke(app, ["rank", "猫", str(tmp_path / "a.png"), "--model", str(checkpoint)])
    assert result.exit_code == 1
    assert "it needs 513 MiB, and 256 MiB of CPU memory are free" in result.stderr
