"""How much memory may be used, and how it is told."""

from __future__ import annotations

import pytest
import torch

from lychee_rerank.devices.memory import (
    GIB,
    MIB,
    Releaser,
    amount,
    describe,
    device_name,
    free_memory,
    max_memory,
    usage,
)

MACHINES = {
    "RTX 4090": ({0: 22.8, "cpu": 60}, {0: 21.6, "cpu": 60}),
    "RTX 4090 with a desktop": ({0: 19.8, "cpu": 30}, {0: 18.6, "cpu": 30}),
    "two of 12 GB": ({0: 11.5, 1: 11.6, "cpu": 30}, {0: 10.3, 1: 10.4, "cpu": 30}),
    "8 GB": ({0: 7.4, "cpu": 16}, {0: 6.2, "cpu": 16}),
    "80 GB": ({0: 79, "cpu": 200}, {0: 77.8, "cpu": 200}),
    "a full GPU": ({0: 1.0, "cpu": 16}, {"cpu": 16}),
    "none": ({"cpu": 16}, {"cpu": 16}),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_reserve_stays_free_on_every_gpu(machine: str) -> None:
    free, expected = MACHINES[machine]
    room = max_memory({device: int(amount * GIB) for device, amount in free.items()}, 1.2)
    assert {device: amount / GIB for device, amount in room.items()} == pytest.approx(expected)


def test_a_model_on_one_gpu_is_told_in_words() -> None:
    parts = {"model.visual": 0, "lm_head": 0, **{f"model.language_model.layers.{n}": 0 for n in range(28)}}
    placement = describe(parts, dict.fromkeys(parts, GIB // 2), 1.2)
    assert placement.words == "28 of 28 blocks on GPU 0, 15.0 GiB, 1.2 GiB kept free"
    assert placement.on_one_device


def test_a_small_model_is_told_in_mib() -> None:
    parts: dict[str, object] = {f"model.language_model.layers.{n}": "cpu" for n in range(5)}
    assert describe(parts, dict.fromkeys(parts, 3 * MIB), 1.2).words == "5 of 5 blocks on CPU, 15 MiB"
    assert describe({"": "mps"}, {"": 17 * MIB}, 1.2).words == "everything on Apple GPU, 17 MiB"


def test_what_runs_from_cpu_memory_is_told_with_its_consequence() -> None:
    parts: dict[str, object] = {f"model.language_model.layers.{n}": 0 if n < 16 else "cpu" for n in range(28)}
    words = describe(parts, dict.fromkeys(parts, 1), 1.2).words
    assert "16 of 28 blocks on GPU 0" in words
    assert "12 of 28 blocks on CPU" in words
    assert words.endswith("1.2 GiB kept free, 12 of 28 layers run from outside the GPU: slower")


def test_the_reserve_is_told_of_each_gpu() -> None:
    parts: dict[str, object] = {f"model.language_model.layers.{n}": n % 2 for n in range(28)}
    assert describe(parts, dict.fromkeys(parts, 1), 1.2).words.endswith("1.2 GiB kept free on each")


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 MiB"), (17 * MIB, "17 MiB"), (GIB, "1.0 GiB"), (16_582_000_000, "15.4 GiB"), (1200 * GIB, "1200.0 GiB")],
)
def test_amounts_are_read_in_gib_and_below_one_in_mib(size: int, words: str) -> None:
    assert amount(size) == words


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
    """A machine whose GPU is Apple's; the list says what was given back."""
    given_back: list[str] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: pytest.fail("there is no CUDA"))
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: pytest.fail("there is no CUDA"))
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 2 * GIB)
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: GIB // 2)
    monkeypatch.setattr("torch.mps.current_allocated_memory", lambda: GIB // 4)
    monkeypatch.setattr("torch.mps.empty_cache", lambda: given_back.append("mps"))
    return given_back


def test_an_apple_gpu_has_what_metal_recommends_but_no_more_than_the_machine(
    apple: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_memory()["mps"] == min(3 * GIB // 2, free_memory()["cpu"])
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 10_000 * GIB)
    free = free_memory()
    assert free["mps"] == free["cpu"]


def test_an_apple_gpu_is_in_the_list_of_what_is_in_use(apple: list[str]) -> None:
    gpu, cpu = usage()
    assert (gpu.device, gpu.used, gpu.reserved, gpu.free) == ("Apple GPU", GIB // 4, GIB // 2, 3 * GIB // 2)
    assert cpu.device == "CPU"


def test_what_an_apple_gpu_no_longer_needs_is_given_back_but_not_after_every_picture(apple: list[str]) -> None:
    releaser = Releaser()
    for _ in range(3):
        releaser.between_pictures()
    assert apple == ["mps"]
    releaser.now()
    assert apple == ["mps", "mps"]


def test_without_a_gpu_only_the_cpu_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: pytest.fail("there is no CUDA"))
    assert list(free_memory()) == ["cpu"]
    assert [device.device for device in usage()] == ["CPU"]


def test_memory_in_use_is_known_without_a_gpu() -> None:
    cpu = usage()[-1]
    assert cpu.device == "CPU"
    assert 0 < cpu.used <= cpu.peak <= cpu.total
