"""What memory is free and in use, what it is called, and when cached memory is released."""

from __future__ import annotations

import pytest
import torch

from lychee_rerank.devices import memory
from lychee_rerank.devices.memory import (
    GIB,
    MIB,
    CacheReleaser,
    DeviceMemory,
    device_name,
    format_bytes,
    free_memory,
    memory_usage,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 KiB"),
        (831_488, "812 KiB"),
        (MIB - 1, "1 MiB"),
        (GIB - 1, "1.0 GiB"),
        (17 * MIB, "17 MiB"),
        (GIB, "1.0 GiB"),
        (16_582_000_000, "15.4 GiB"),
        (1200 * GIB, "1200.0 GiB"),
    ],
)
def test_bytes_are_written_in_gib_below_one_in_mib_and_below_that_in_kib(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (0, "GPU 0"),
        ("1", "GPU 1"),
        ("cuda:2", "GPU 2"),
        ("cuda", "GPU 0"),
        ("mps", "Apple GPU"),
        ("mps:0", "Apple GPU"),
        ("cpu", "CPU"),
        ("disk", "disk"),
        (torch.device("cuda", 3), "GPU 3"),
        ("xpu:0", "XPU:0"),
    ],
)
def test_devices_have_names_for_people(device: object, name: str) -> None:
    assert device_name(device) == name


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine of 16 GiB whose GPU is Apple's; the list grows with every release of cached memory."""
    released: list[str] = []
    monkeypatch.setattr(memory, "cpu_usage", lambda: DeviceMemory("cpu", GIB, GIB, 8 * GIB, 16 * GIB))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: pytest.fail("there is no CUDA"))
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: pytest.fail("there is no CUDA"))
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 2 * GIB)
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: GIB // 2)
    monkeypatch.setattr("torch.mps.current_allocated_memory", lambda: GIB // 4)
    monkeypatch.setattr("torch.mps.empty_cache", lambda: released.append("mps"))
    return released


def test_an_apple_gpu_has_what_metal_recommends_but_no_more_than_the_machine(
    apple: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_memory() == {"mps": 3 * GIB // 2, "cpu": 8 * GIB}
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 10_000 * GIB)
    assert free_memory() == {"mps": 8 * GIB, "cpu": 8 * GIB}


def test_memory_in_use_includes_an_apple_gpu(apple: list[str]) -> None:
    gpu, cpu = memory_usage()
    assert gpu == DeviceMemory("mps", used=GIB // 4, peak=GIB // 2, free=3 * GIB // 2, total=2 * GIB)
    assert cpu.device == "cpu"


def test_cached_memory_of_an_apple_gpu_is_released_but_not_after_every_image(apple: list[str]) -> None:
    releaser = CacheReleaser()
    for _ in range(3):
        releaser.release_throttled()
    assert apple == ["mps"]
    releaser.release()
    assert apple == ["mps", "mps"]


def test_without_a_gpu_only_the_cpu_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: pytest.fail("there is no CUDA"))
    assert list(free_memory()) == ["cpu"]
    assert [device.device for device in memory_usage()] == ["cpu"]


def test_memory_in_use_is_measured_without_a_gpu() -> None:
    cpu = memory_usage()[-1]
    assert cpu.device == "cpu"
    assert 0 < cpu.used <= cpu.peak <= cpu.total
