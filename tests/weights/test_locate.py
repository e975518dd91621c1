"""Checkpoints are found in order, and a damaged one is refused before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import (
    DEFAULT_MODEL,
    DEMO_FOLDER,
    find_checkpoint,
    list_checkpoints,
    resolve_checkpoint,
)

FIRST = "model-00001-of-00002.safetensors"


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def test_a_whole_folder_has_no_problems(folder: Path) -> None:
    found = find_checkpoint(str(folder))
    assert (found.name, found.source, found.is_demo) == ("copy", "argument", False)
    assert found.size > 0


def test_a_damaged_folder_is_described_where_it_is_only_looked_up(folder: Path) -> None:
    (folder / FIRST).unlink()
    found = resolve_checkpoint(str(folder))
    assert (found.name, found.problems) == ("copy", (f"{FIRST} is missing",))
    assert found.size > 0
    with pytest.raises(CheckpointError, match="cannot be used"):
        find_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "folder/" * 2000])
def test_what_can_be_no_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(CheckpointError):
        find_checkpoint(name)


def test_a_name_that_is_nowhere_says_what_to_do() -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor a model on this machine"):
        find_checkpoint("someone/nothing-at-all")


def test_a_published_model_that_is_not_here_is_named_with_the_command_that_fetches_it() -> None:
    with pytest.raises(CheckpointError, match="`uv run lychee-rerank download Qwen/Qwen3-VL-Reranker-2B` fetches it"):
        find_checkpoint("Qwen/Qwen3-VL-Reranker-2B")


def in_hub_cache(root: Path, whole: Path) -> Path:
    kept = root / f"models--{DEFAULT_MODEL.replace('/', '--')}"
    snapshot = kept / "snapshots" / "abc"
    shutil.copytree(whole, snapshot)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc", encoding="utf-8")
    return snapshot


def test_the_search_order_is_environment_then_hub_then_modelscope_then_demo(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, scope = tmp_path / "hub", tmp_path / "scope"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(scope))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    assert find_checkpoint().is_demo
    shutil.copytree(published, scope / "models" / DEFAULT_MODEL)
    assert find_checkpoint().source == "modelscope"
    snapshot = in_hub_cache(hub, published)
    assert (find_checkpoint().source, find_checkpoint().path) == ("huggingface", snapshot)
    assert find_checkpoint(DEFAULT_MODEL).path == snapshot
    monkeypatch.setenv("LYCHEE_MODEL", str(published))
    assert find_checkpoint().source == "environment"


def test_auto_passes_over_a_broken_cache_and_lists_it(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "none"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    (in_hub_cache(tmp_path, published) / FIRST).unlink()
    assert find_checkpoint().is_demo
    assert list_checkpoints()[0].problems == (f"{FIRST} is missing",)


def test_the_demo_checkpoint_is_whole_and_small() -> None:
    demo = find_checkpoint("demo")
    assert (demo.problems, demo.path) == ((), DEMO_FOLDER)
    assert demo.size < 20_000_000
