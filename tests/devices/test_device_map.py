"""Where a model goes on every kind of machine, against answers worked out by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.devices.device_map import WORKSPACE_BYTES, DeviceId, plan_device_map, summarize
from lychee_rerank.devices.memory import GIB, MIB

# Qwen2.5-VL-7B in BF16: vision tower 1.35 GB, embeddings and lm_head 1.09 GB each, 28 blocks of 0.466 GB.
LAYER = 466_120_000
SEVEN_B = {
    "model.visual": 1_353_000_000,
    "model.language_model.embed_tokens": 1_090_000_000,
    **{f"model.language_model.layers.{number}": LAYER for number in range(28)},
    "lm_head": 1_090_000_000,
}
KEPT = "1.2 GiB kept free"
# Free GiB of each device, where the blocks go, and the words. By hand: what is no block takes 3.29, a block 0.434;
# of every GPU 1.2 GiB stay free and 0.5 are for the work, on the first also a block's room where some run from the CPU.
MACHINES: dict[str, tuple[dict[DeviceId, float], dict[DeviceId, int], str]] = {
    "RTX 4090": ({0: 22.8, "cpu": 60}, {0: 28}, f"28 of 28 blocks on GPU 0, 15.4 GiB of 22.8 GiB free, {KEPT}"),
    "RTX 4090 with a desktop of 3": (
        {0: 19.8, "cpu": 30},
        {0: 28},
        f"28 of 28 blocks on GPU 0, 15.4 GiB of 19.8 GiB free, {KEPT}",
    ),
    "two of 12 GB": (
        {0: 11.5, 1: 11.6, "cpu": 30},
        {0: 14, 1: 14},
        "14 of 28 blocks on GPU 0, 9.4 GiB of 11.5 GiB free, 14 of 28 blocks on GPU 1, 6.1 GiB of 11.6 GiB free, "
        f"{KEPT} on each",
    ),
    "12 GB and the CPU": (
        {0: 11, "cpu": 32},
        {0: 12, "cpu": 16},
        "12 of 28 blocks on GPU 0, 8.5 GiB of 11.0 GiB free, 16 of 28 blocks on CPU, 6.9 GiB of 32.0 GiB free, "
        f"{KEPT}, 16 of 28 layers run from outside the GPU: slower",
    ),
    "8 GB": (
        {0: 7.4, "cpu": 16},
        {0: 4, "cpu": 24},
        "4 of 28 blocks on GPU 0, 5.0 GiB of 7.4 GiB free, 24 of 28 blocks on CPU, 10.4 GiB of 16.0 GiB free, "
        f"{KEPT}, 24 of 28 layers run from outside the GPU: slower",
    ),
    "8 GB and little memory": (
        {0: 7.4, "cpu": 4},
        {0: 4, "cpu": 9, "disk": 15},
        "4 of 28 blocks on GPU 0, 5.0 GiB of 7.4 GiB free, 9 of 28 blocks on CPU, 3.9 GiB of 4.0 GiB free, "
        f"15 of 28 blocks on disk, 6.5 GiB, {KEPT}, 24 of 28 layers run from outside the GPU: slower",
    ),
    "80 GB": ({0: 79, "cpu": 200}, {0: 28}, f"28 of 28 blocks on GPU 0, 15.4 GiB of 79.0 GiB free, {KEPT}"),
    "a small GPU before a large one": (
        {0: 3.0, 1: 22.8, "cpu": 60},
        {1: 28},
        f"28 of 28 blocks on GPU 1, 15.4 GiB of 22.8 GiB free, {KEPT}",
    ),
    "8 GB before 24 GB": (
        {0: 7.4, 1: 22.8, "cpu": 60},
        {1: 28},
        f"28 of 28 blocks on GPU 1, 15.4 GiB of 22.8 GiB free, {KEPT}",
    ),
    "8 GB before 16 GB": (
        {0: 7.4, 1: 15.2, "cpu": 60},
        {0: 5, 1: 23},
        "5 of 28 blocks on GPU 0, 5.5 GiB of 7.4 GiB free, 23 of 28 blocks on GPU 1, 10.0 GiB of 15.2 GiB free, "
        f"{KEPT} on each",
    ),
    "16 GB": (
        {0: 15.2, "cpu": 30},
        {0: 22, "cpu": 6},
        "22 of 28 blocks on GPU 0, 12.8 GiB of 15.2 GiB free, 6 of 28 blocks on CPU, 2.6 GiB of 30.0 GiB free, "
        f"{KEPT}, 6 of 28 layers run from outside the GPU: slower",
    ),
    "a full GPU": ({0: 1.0, "cpu": 32}, {"cpu": 28}, "28 of 28 blocks on CPU, 15.4 GiB of 32.0 GiB free"),
    "none": ({"cpu": 32}, {"cpu": 28}, "28 of 28 blocks on CPU, 15.4 GiB of 32.0 GiB free"),
    "Apple, 32 GB": (
        {"mps": 24, "cpu": 24},
        {"mps": 28},
        "28 of 28 blocks on Apple GPU, 15.4 GiB of 24.0 GiB free",
    ),
    "Apple, 16 GB": ({"mps": 10, "cpu": 10}, {"cpu": 28}, "28 of 28 blocks on CPU, 15.4 GiB of 10.0 GiB free"),
}


def in_bytes(free: dict[DeviceId, float]) -> dict[DeviceId, int]:
    return {device: int(amount * GIB) for device, amount in free.items()}


@pytest.mark.parametrize("machine", MACHINES)
def test_blocks_go_where_they_fit(machine: str) -> None:
    free, expected, _ = MACHINES[machine]
    placed = plan_device_map(SEVEN_B, in_bytes(free), 1.2).device_map
    assert list(placed) == list(SEVEN_B)
    assert Counter(device for name, device in placed.items() if ".layers." in name) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_but_the_blocks_stays_together_on_the_best_device(machine: str) -> None:
    free, expected, _ = MACHINES[machine]
    placed = plan_device_map(SEVEN_B, in_bytes(free), 1.2).device_map
    assert {device for name, device in placed.items() if ".layers." not in name} == {next(iter(expected))}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_plan_says_what_is_where_what_stays_free_and_what_is_slower(machine: str) -> None:
    free, _, words = MACHINES[machine]
    assert plan_device_map(SEVEN_B, in_bytes(free), 1.2).summary == words


def test_a_tiny_model_is_told_in_mib() -> None:
    parts = {"model.visual": 6 * MIB, "model.language_model.layers.0": 10 * MIB, "lm_head": 0}
    assert plan_device_map(parts, in_bytes({"cpu": 16}), 1.2).summary == "1 of 1 blocks on CPU, 16 MiB of 16.0 GiB free"


@given(st.lists(st.floats(0, 100), max_size=4), st.floats(0, 100), st.floats(0, 8))
def test_no_device_is_ever_filled_beyond_its_room(gpus: list[float], memory: float, reserve: float) -> None:
    free = in_bytes({**dict(enumerate(gpus)), "cpu": memory})
    placed = plan_device_map(SEVEN_B, free, reserve).device_map
    assert set(placed) == set(SEVEN_B)
    used = Counter[DeviceId]()
    for name, device in placed.items():
        used[device] += SEVEN_B[name]
    for gpu in range(len(gpus)):
        assert used[gpu] == 0 or used[gpu] + WORKSPACE_BYTES + int(reserve * GIB) <= free[gpu]
    if any(isinstance(device, int) for device in used):
        assert used["cpu"] <= free["cpu"]


def test_a_model_on_one_gpu_is_told_in_words() -> None:
    parts = {"model.visual": 0, "lm_head": 0, **{f"model.language_model.layers.{n}": 0 for n in range(28)}}
    summary = summarize(parts, dict.fromkeys(parts, GIB // 2), 1.2)
    assert summary == "28 of 28 blocks on GPU 0, 15.0 GiB, 1.2 GiB kept free"


def test_a_small_model_is_told_in_mib() -> None:
    parts: dict[str, DeviceId] = {f"model.language_model.layers.{n}": "cpu" for n in range(5)}
    assert summarize(parts, dict.fromkeys(parts, 3 * MIB), 1.2) == "5 of 5 blocks on CPU, 15 MiB"
    assert summarize({"": "mps"}, {"": 17 * MIB}, 1.2) == "everything on Apple GPU, 17 MiB"


def test_what_runs_from_cpu_memory_is_told_with_its_consequence() -> None:
    parts: dict[str, DeviceId] = {f"model.language_model.layers.{n}": 0 if n < 16 else "cpu" for n in range(28)}
    words = summarize(parts, dict.fromkeys(parts, 1), 1.2)
    assert "16 of 28 blocks on GPU 0" in words
    assert "12 of 28 blocks on CPU" in words
    assert words.endswith("1.2 GiB kept free, 12 of 28 layers run from outside the GPU: slower")


def test_the_reserve_is_told_of_each_gpu() -> None:
    parts: dict[str, DeviceId] = {f"model.language_model.layers.{n}": n % 2 for n in range(28)}
    assert summarize(parts, dict.fromkeys(parts, 1), 1.2).endswith("1.2 GiB kept free on each")
