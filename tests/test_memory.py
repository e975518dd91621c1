"""How much memory may be used, and how it is told."""

from __future__ import annotations

import pytest

from lychee_rerank.memory import GIB, describe, max_memory, usage

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
    placement = describe(parts, dict.fromkeys(parts, 500_000_000), 1.2)
    assert placement.words == "28 of 28 blocks on GPU 0, 15.0 GB; 1.2 GiB kept free"
    assert placement.on_one_device


def test_what_runs_from_cpu_memory_is_told_with_its_consequence() -> None:
    parts: dict[str, object] = {f"model.language_model.layers.{n}": 0 if n < 16 else "cpu" for n in range(28)}
    words = describe(parts, dict.fromkeys(parts, 1), 1.2).words
    assert "16 of 28 blocks on GPU 0" in words
    assert "12 of 28 blocks on CPU" in words
    assert "slower" in words


def test_memory_in_use_is_known_without_a_gpu() -> None:
    cpu = usage()[-1]
    assert cpu.device == "CPU"
    assert 0 < cpu.used <= cpu.peak <= cpu.total
