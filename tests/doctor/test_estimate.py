"""Seconds a picture, against limits counted by hand for the published model on two cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lychee_rerank.devices.device_map import DeviceId
from lychee_rerank.doctor.estimate import PUBLISHED_PARTS, PUBLISHED_SIGHT, Sight, Speed, estimate, sight_of
from lychee_rerank.model.loading import part_sizes
from lychee_rerank.weights.locate import DEMO_FOLDER

H200 = Speed(flops=790e12, reading=4.3e12, starting=0, fetching=50e9)
RTX_4090 = Speed(flops=165e12, reading=1.008e12, starting=0, fetching=20e9)
CPU = Speed(flops=500e9, reading=40e9, starting=0)


def spread(*devices: DeviceId) -> dict[str, DeviceId]:
    """The published model with its blocks dealt out in equal runs, everything else on the first device."""
    blocks = [part for part in PUBLISHED_PARTS if ".layers." in part]
    on = {part: devices[number * len(devices) // len(blocks)] for number, part in enumerate(blocks)}
    return {part: on.get(part, devices[0]) for part in PUBLISHED_PARTS}


@pytest.mark.parametrize(
    ("card", "yes_no", "four", "twelve", "fifty"),
    [(H200, 0.00465, 0.0148, 0.041, 0.166), (RTX_4090, 0.0223, 0.065, 0.178, 0.712)],
)
def test_cards_take_what_was_counted_by_hand(
    card: Speed, yes_no: float, four: float, twelve: float, fifty: float
) -> None:
    for written, expected in ((4, four), (12, twelve), (50, fifty)):
        found = estimate(PUBLISHED_PARTS, spread(0), PUBLISHED_SIGHT, {0: card}, written=written)
        assert found is not None
        assert found.yes_no == pytest.approx(yes_no, rel=0.03)
        assert found.generate == pytest.approx(expected, rel=0.03)


def test_two_cards_take_turns_so_they_are_no_faster_than_one() -> None:
    one = estimate(PUBLISHED_PARTS, spread(0), PUBLISHED_SIGHT, {0: RTX_4090})
    two = estimate(PUBLISHED_PARTS, spread(0, 1), PUBLISHED_SIGHT, {0: RTX_4090, 1: RTX_4090})
    assert one is not None
    assert two is not None
    assert two.generate == pytest.approx(one.generate)


def test_a_block_in_cpu_memory_is_fetched_for_every_pass() -> None:
    whole = estimate(PUBLISHED_PARTS, spread(0), PUBLISHED_SIGHT, {0: RTX_4090})
    half = estimate(PUBLISHED_PARTS, spread(0, "cpu"), PUBLISHED_SIGHT, {0: RTX_4090, "cpu": CPU})
    assert whole is not None
    assert half is not None
    fetching = 14 * 466_115_584 / 20e9
    assert half.yes_no - whole.yes_no == pytest.approx(fetching)
    assert half.generate - whole.generate == pytest.approx(7 * fetching)


def test_without_a_gpu_the_cpu_does_the_work() -> None:
    found = estimate(PUBLISHED_PARTS, spread("cpu"), PUBLISHED_SIGHT, {"cpu": CPU})
    assert found is not None
    assert found.yes_no == pytest.approx((2 * 676_550_144 * 784 + 2 * 28 * 233_057_792 * 202) / 500e9)


@pytest.mark.parametrize("placed", [spread(0, "disk"), spread(0, 1)])
def test_nothing_is_estimated_where_something_was_not_measured(placed: dict[str, DeviceId]) -> None:
    assert estimate(PUBLISHED_PARTS, placed, PUBLISHED_SIGHT, {0: H200, "cpu": CPU}) is None


def test_a_small_model_takes_as_long_as_its_operations_take_to_start() -> None:
    parts = part_sizes(DEMO_FOLDER, torch.bfloat16)
    card = Speed(flops=790e12, reading=4.3e12, starting=5e-6)
    found = estimate(parts, dict.fromkeys(parts, 0), sight_of(DEMO_FOLDER), {0: card})
    assert found is not None
    assert found.yes_no == pytest.approx(11 * 85 * 5e-6)


def test_an_lm_head_without_weights_reads_the_embeddings() -> None:
    tied = {**PUBLISHED_PARTS, "lm_head": 0}
    both = [estimate(parts, spread(0), PUBLISHED_SIGHT, {0: H200}) for parts in (PUBLISHED_PARTS, tied)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"patch_size": 14, "merge_size": 2, "max_pixels": 12_845_056}, Sight(784, 196, 32)),
        ({"patch_size": 16, "merge_size": 2, "size": {"longest_edge": 16_777_216}}, Sight(576, 144, 32)),
        ({"patch_size": 14, "merge_size": 2, "size": {"longest_edge": 112 * 112}}, Sight(64, 16, 32)),
    ],
)
def test_a_picture_is_seen_in_as_many_patches_as_the_checkpoint_says(
    processor: dict[str, object], expected: Sight, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {}}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert sight_of(tmp_path) == expected
