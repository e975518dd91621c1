"""Where a model goes on every kind of machine, against answers worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.devices.device_map import WORKSPACE_BYTES, DeviceMapPlan, plan_device_map, summarize
from lychee_rerank.devices.memory import GIB, MIB, DeviceId

# Qwen2.5-VL-7B in BF16: vision tower 1.35 GB, embeddings and lm_head 1.09 GB each, 28 blocks of 0.466 GB.
LAYER = 466_120_000
SEVEN_B = {
    "model.visual": 1_353_000_000,
    "model.language_model.embed_tokens": 1_090_000_000,
    **{f"model.language_model.layers.{number}": LAYER for number in range(28)},
    "lm_head": 1_090_000_000,
}
KEPT = "1.2 GiB kept free"
# Free GiB of each device, the number of blocks on each, and the summary. By hand: a block takes 0.434 GiB, the rest
# 3.29. Of every GPU 1.2 GiB stay free and 0.5 are workspace; the primary one keeps space for a block if some are
# offloaded.
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


def in_bytes(free: Mapping[DeviceId, float]) -> dict[DeviceId, int]:
    return {device: int(gib * GIB) for device, gib in free.items()}


def layers(devices: Iterable[DeviceId]) -> dict[str, DeviceId]:
    return {f"model.language_model.layers.{number}": device for number, device in enumerate(devices)}


@pytest.mark.parametrize("machine", MACHINES)
def test_blocks_go_where_they_fit(machine: str) -> None:
    free, expected, _ = MACHINES[machine]
    device_map = plan_device_map(SEVEN_B, in_bytes(free), 1.2).device_map
    assert list(device_map) == list(SEVEN_B)
    assert Counter(device for part, device in device_map.items() if ".layers." in part) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_but_the_blocks_stays_together_on_the_best_device(machine: str) -> None:
    free, expected, _ = MACHINES[machine]
    device_map = plan_device_map(SEVEN_B, in_bytes(free), 1.2).device_map
    assert {device for part, device in device_map.items() if ".layers." not in part} == {next(iter(expected))}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_summary_says_what_is_where_what_stays_free_and_what_is_slower(machine: str) -> None:
    free, _, summary = MACHINES[machine]
    assert plan_device_map(SEVEN_B, in_bytes(free), 1.2).summary == summary


@pytest.mark.parametrize("reserve_gib", [0.0, 1.2, 4.0])
def test_a_gpu_takes_a_model_if_reserve_and_workspace_stay_free_to_the_byte(reserve_gib: float) -> None:
    just_enough = sum(SEVEN_B.values()) + WORKSPACE_BYTES + int(reserve_gib * GIB)
    for gpus, on_gpu in (([just_enough], True), ([just_enough - 1], False), ([just_enough - 1, just_enough], True)):
        free: dict[DeviceId, int] = {**dict(enumerate(gpus)), "cpu": 60 * GIB}
        assert plan_device_map(SEVEN_B, free, reserve_gib).on_gpu == on_gpu


@given(st.lists(st.floats(0, 100), max_size=4), st.floats(0, 100), st.floats(0, 8))
def test_no_device_is_ever_filled_beyond_its_free_memory_and_the_reserve_stays_free(
    gpus: list[float], memory: float, reserve_gib: float
) -> None:
    free = in_bytes({**dict(enumerate(gpus)), "cpu": memory})
    device_map = plan_device_map(SEVEN_B, free, reserve_gib).device_map
    assert set(device_map) == set(SEVEN_B)
    used = Counter[DeviceId]()
    for part, device in device_map.items():
        used[device] += SEVEN_B[part]
    for gpu in range(len(gpus)):
        assert used[gpu] == 0 or used[gpu] + WORKSPACE_BYTES + int(reserve_gib * GIB) <= free[gpu]
    if any(isinstance(device, int) for device in used):
        assert used["cpu"] <= free["cpu"]


def test_a_small_model_is_described_in_mib() -> None:
    parts = {"model.visual": 6 * MIB, "model.language_model.layers.0": 10 * MIB, "lm_head": 0}
    assert plan_device_map(parts, in_bytes({"cpu": 16}), 1.2).summary == "1 of 1 blocks on CPU, 16 MiB of 16.0 GiB free"
    assert summarize({"": "mps"}, {"": 17 * MIB}, 1.2) == "everything on Apple GPU, 17 MiB"


def test_a_loaded_model_is_described_without_what_was_free() -> None:
    device_map = {"model.visual": 0, **layers([0] * 28), "lm_head": 0}
    summary = summarize(device_map, dict.fromkeys(device_map, GIB // 2), 1.2)
    assert summary == "28 of 28 blocks on GPU 0, 15.0 GiB, 1.2 GiB kept free"


def test_blocks_in_cpu_memory_are_described_with_the_consequence() -> None:
    device_map = layers([0] * 16 + ["cpu"] * 12)
    summary = summarize(device_map, dict.fromkeys(device_map, 1), 1.2)
    assert "16 of 28 blocks on GPU 0" in summary
    assert "12 of 28 blocks on CPU" in summary
    assert summary.endswith("1.2 GiB kept free, 12 of 28 layers run from outside the GPU: slower")


def test_the_reserve_is_stated_for_each_of_several_gpus() -> None:
    device_map = layers([0, 1] * 14)
    assert summarize(device_map, dict.fromkeys(device_map, 1), 1.2).endswith("1.2 GiB kept free on each")


def test_a_plan_names_each_parts_device_and_knows_whether_all_are_gpus() -> None:
    assert DeviceMapPlan({"model.visual": 0, "lm_head": "cpu"}, "").device_names == {
        "model.visual": "GPU 0",
        "lm_head": "CPU",
    }
    assert DeviceMapPlan({"a": 0, "b": 1}, "").on_gpu
    assert DeviceMapPlan({"a": "mps"}, "").on_gpu
    assert not DeviceMapPlan({"a": 0, "b": "disk"}, "").on_gpu
