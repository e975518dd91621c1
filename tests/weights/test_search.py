"""search_locations: where checkpoints are searched, and what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.weights.search import search_locations
from support.hub_cache import copy_to_hub_cache


def test_every_location_is_listed_in_order_also_if_nothing_is_there(machine: Path) -> None:
    checkpoint, locations = search_locations()
    assert [location.source for location in locations] == ["argument", "huggingface", "modelscope", "demo"]
    assert [len(location.checkpoints) for location in locations] == [0, 0, 0, 1]
    assert [location.folder for location in locations] == ["", str(machine / "hub"), str(machine / "ms"), ""]
    assert checkpoint is not None
    assert checkpoint.is_demo


def test_damaged_weights_are_listed_with_their_problems(machine: Path, published: Path) -> None:
    shard = next(copy_to_hub_cache(published, machine).glob("*.safetensors"))
    shard.unlink()
    checkpoint, locations = search_locations()
    (found,) = locations[1].checkpoints
    assert any(shard.name in problem for problem in found.problems)
    assert checkpoint is not None
    assert checkpoint.is_demo


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_named_folder_comes_first(
    by_environment: bool, machine: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_environment:
        monkeypatch.setenv("LYCHEE_MODEL", str(checkpoint))
    used, locations = search_locations("auto" if by_environment else str(checkpoint))
    assert used is not None
    assert used.path == checkpoint
    assert locations[0].folder == str(checkpoint)
    assert locations[0].checkpoints[0].problems == ()


def test_a_named_folder_that_is_missing_is_a_problem_and_not_an_error(machine: Path) -> None:
    used, locations = search_locations(str(machine / "nowhere"))
    assert used is None
    assert "nowhere" in locations[0].checkpoints[0].problems[0]
    assert len(locations[3].checkpoints) == 1
