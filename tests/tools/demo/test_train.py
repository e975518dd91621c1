"""The recipe for the demo checkpoint, from nothing to the export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

pytest.importorskip("resvg_py", reason="the group `demo` is not installed")

from tools.demo import train

Calls = list[tuple[str, float, dict[str, Any]]]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The stages that `all` starts, with their minutes; nothing is trained."""
    calls: Calls = []
    for name in ("train_vision", "train_scoring"):
        record = lambda folder, minutes, *, name=name, **options: calls.append((name, minutes, options))  # noqa: E731
        monkeypatch.setattr(train, name, record)
    monkeypatch.setattr(train, "export", lambda folder, to: calls.append(("export", 0, {})))
    monkeypatch.setattr("tools.demo.training_context.keywords", lambda things, language: [() for _ in things])
    return calls


def test_the_whole_recipe_sees_judges_and_exports_in_at_most_four_hours(stages: Calls, tmp_path: Path) -> None:
    train.train_from_scratch(tmp_path)
    assert [name for name, *_ in stages] == ["train_vision", "train_scoring", "train_vision", "train_scoring", "export"]
    assert sum(minutes for _, minutes, _ in stages) < 240


def test_the_whole_recipe_starts_from_nothing_and_from_no_checkpoint(stages: Calls, tmp_path: Path) -> None:
    train.train_from_scratch(tmp_path)
    assert all(options["start"] is None for _, _, options in stages[:-1])
    assert [options.get("reset_matching", False) for _, _, options in stages[:-1]] == [False, True, False, False]


def test_each_stage_renders_other_scenes(stages: Calls, tmp_path: Path) -> None:
    train.train_from_scratch(tmp_path, seed=7)
    assert len({options["seed"] for _, _, options in stages[:-1]}) == 4


def test_the_whole_recipe_scales_with_its_minutes(stages: Calls, tmp_path: Path) -> None:
    train.train_from_scratch(tmp_path, minutes=20)
    assert sum(minutes for _, minutes, _ in stages) == pytest.approx(20)


def test_the_whole_recipe_leaves_a_trained_network_alone(stages: Calls, tmp_path: Path) -> None:
    (tmp_path / "network.pt").write_bytes(b"trained for hours")
    with pytest.raises(typer.BadParameter, match="holds a network"):
        train.train_from_scratch(tmp_path)
    assert not stages
