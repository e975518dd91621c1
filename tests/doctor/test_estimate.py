"""estimate: seconds an image, against limits counted by hand for the published model on two GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lychee_rerank.devices.memory import DeviceId
from lychee_rerank.devices.speed import DeviceSpeed
from lychee_rerank.doctor.estimate import Estimate, estimate
from lychee_rerank.model.loading import part_sizes
from lychee_rerank.weights.locate import DEMO_FOLDER
from lychee_rerank.weights.model_size import DEFAULT_MODEL_PART_SIZES, DEFAULT_MODEL_VISION, vision_workload

H200 = DeviceSpeed(flops=790e12, read_rate=4.3e12, launch_time=0, transfer_rate=50e9)
RTX_4090 = DeviceSpeed(flops=165e12, read_rate=1.008e12, launch_time=0, transfer_rate=20e9)
CPU = DeviceSpeed(flops=500e9, read_rate=40e9, launch_time=0)


def device_map(*devices: DeviceId) -> dict[str, DeviceId]:
    """The published model with its blocks in equal runs on these devices, everything else on the first."""
    blocks = [part for part in DEFAULT_MODEL_PART_SIZES if ".layers." in part]
    block_devices = {part: devices[number * len(devices) // len(blocks)] for number, part in enumerate(blocks)}
    return {part: block_devices.get(part, devices[0]) for part in DEFAULT_MODEL_PART_SIZES}


def estimate_published(
    devices: dict[str, DeviceId], speeds: dict[DeviceId, DeviceSpeed], new_tokens: int = 7
) -> Estimate:
    result = estimate(DEFAULT_MODEL_PART_SIZES, devices, DEFAULT_MODEL_VISION, speeds, new_tokens=new_tokens)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("gpu", "yes_no", "four_tokens", "twelve_tokens", "fifty_tokens"),
    [(H200, 0.00465, 0.0148, 0.041, 0.166), (RTX_4090, 0.0223, 0.065, 0.178, 0.712)],
)
def test_gpus_take_as_long_as_was_counted_by_hand(
    gpu: DeviceSpeed, yes_no: float, four_tokens: float, twelve_tokens: float, fifty_tokens: float
) -> None:
    for new_tokens, expected in ((4, four_tokens), (12, twelve_tokens), (50, fifty_tokens)):
        result = estimate_published(device_map(0), {0: gpu}, new_tokens)
        assert result.yes_no == pytest.approx(yes_no, rel=0.03)
        assert result.generate == pytest.approx(expected, rel=0.03)


def test_two_gpus_take_turns_so_they_are_no_faster_than_one() -> None:
    one = estimate_published(device_map(0), {0: RTX_4090})
    two = estimate_published(device_map(0, 1), {0: RTX_4090, 1: RTX_4090})
    assert two.generate == pytest.approx(one.generate)


def test_a_block_in_cpu_memory_is_copied_to_the_gpu_for_every_pass() -> None:
    on_gpu = estimate_published(device_map(0), {0: RTX_4090})
    half_on_cpu = estimate_published(device_map(0, "cpu"), {0: RTX_4090, "cpu": CPU})
    copy_seconds = 14 * 466_115_584 / 20e9
    assert half_on_cpu.yes_no - on_gpu.yes_no == pytest.approx(copy_seconds)
    assert half_on_cpu.generate - on_gpu.generate == pytest.approx(7 * copy_seconds)


def test_without_a_gpu_the_cpu_does_the_work() -> None:
    result = estimate_published(device_map("cpu"), {"cpu": CPU})
    assert result.yes_no == pytest.approx((2 * 676_550_144 * 784 + 2 * 28 * 233_057_792 * 202) / 500e9)


def test_twice_the_bytes_are_the_same_arithmetic() -> None:
    sizes = {part: 2 * size for part, size in DEFAULT_MODEL_PART_SIZES.items()}
    speeds: dict[DeviceId, DeviceSpeed] = {"cpu": CPU}
    result = estimate(sizes, device_map("cpu"), DEFAULT_MODEL_VISION, speeds, bytes_per_weight=4)
    assert result is not None
    assert result.yes_no == estimate_published(device_map("cpu"), speeds).yes_no


@pytest.mark.parametrize("devices", [device_map(0, "disk"), device_map(0, 1)])
def test_with_a_part_on_an_unmeasured_device_there_is_no_estimate(devices: dict[str, DeviceId]) -> None:
    assert estimate(DEFAULT_MODEL_PART_SIZES, devices, DEFAULT_MODEL_VISION, {0: H200, "cpu": CPU}) is None


def test_a_small_model_takes_as_long_as_its_operations_take_to_start() -> None:
    sizes = part_sizes(DEMO_FOLDER, torch.bfloat16)
    gpu = replace(H200, launch_time=5e-6)
    result = estimate(sizes, dict.fromkeys(sizes, 0), vision_workload(DEMO_FOLDER), {0: gpu})
    assert result is not None
    assert result.yes_no == pytest.approx(11 * 85 * 5e-6)


def test_an_lm_head_without_weights_of_its_own_reads_the_embeddings() -> None:
    tied = {**DEFAULT_MODEL_PART_SIZES, "lm_head": 0}
    result = estimate(tied, device_map(0), DEFAULT_MODEL_VISION, {0: H200})
    assert result == estimate_published(device_map(0), {0: H200})
