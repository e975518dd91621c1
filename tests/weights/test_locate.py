"""Checkpoints are found in order, and a damaged one is refused before anything is loaded."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import (
    DEFAULT_MODEL,
    DEMO_FOLDER,
    Checkpoint,
    damaged_checkpoints,
    find_checkpoint,
    list_checkpoints,
    resolve_checkpoint,
)

FIRST = "model-00001-of-00002.safetensors"


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def test_a_whole_folder_has_no_problems(folder: Path) -> None:
    checkpoint = find_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.source, checkpoint.is_demo) == ("copy", "argument", False)
    assert checkpoint.size > 0


def test_a_damaged_folder_is_described_where_it_is_only_resolved(folder: Path) -> None:
    (folder / FIRST).unlink()
    checkpoint = resolve_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.problems) == ("copy", (f"{FIRST} is missing",))
    assert checkpoint.size > 0
    with pytest.raises(CheckpointError, match="cannot be used"):
        find_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "folder/" * 2000, "~nobody/x", f"{'a' * 250}/{'b' * 250}"])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError):
        find_checkpoint(name)


def test_a_name_that_is_nowhere_says_what_to_do() -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor a model on this machine"):
        find_checkpoint("someone/nothing-at-all")


def test_a_known_reranker_that_is_not_on_this_machine_is_named_with_the_command_that_fetches_it() -> None:
    with pytest.raises(CheckpointError, match="`uv run lychee-rerank download Qwen/Qwen3-VL-Reranker-2B` fetches it"):
        find_checkpoint("Qwen/Qwen3-VL-Reranker-2B")


def put_in_huggingface_cache(root: Path, checkpoint: Path) -> Path:
    model = root / f"models--{DEFAULT_MODEL.replace('/', '--')}"
    snapshot = model / "snapshots" / "abc"
    shutil.copytree(checkpoint, snapshot)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc", encoding="utf-8")
    return snapshot


def put_in_modelscope_cache(root: Path, checkpoint: Path, revision: str, age: float = 0) -> Path:
    snapshot = root / "models" / DEFAULT_MODEL.replace("/", "--") / "snapshots" / revision
    shutil.copytree(checkpoint, snapshot)
    os.utime(snapshot, (time.time() - age,) * 2)
    return snapshot


def test_the_search_order_is_environment_then_huggingface_then_modelscope_then_demo(
    published: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_checkpoint().is_demo
    put_in_modelscope_cache(caches / "ms", published, "master")
    assert find_checkpoint().source == "modelscope"
    snapshot = put_in_huggingface_cache(caches / "hf", published)
    assert (find_checkpoint().source, find_checkpoint().path) == ("huggingface", snapshot)
    assert find_checkpoint(DEFAULT_MODEL).path == snapshot
    monkeypatch.setenv("LYCHEE_MODEL", str(published))
    assert find_checkpoint().source == "environment"


def test_auto_passes_over_a_broken_cache_and_lists_it(published: Path, caches: Path) -> None:
    (put_in_huggingface_cache(caches / "hf", published) / FIRST).unlink()
    assert find_checkpoint().is_demo
    assert list_checkpoints()[0].problems == (f"{FIRST} is missing",)


def test_of_several_revisions_the_newest_complete_one_is_taken(published: Path, caches: Path) -> None:
    put_in_modelscope_cache(caches / "ms", published, "v1", age=200)
    complete = put_in_modelscope_cache(caches / "ms", published, "v2", age=100)
    incomplete = put_in_modelscope_cache(caches / "ms", published, "master")
    (incomplete / FIRST).unlink()
    assert find_checkpoint() == find_checkpoint(DEFAULT_MODEL) == Checkpoint(complete, DEFAULT_MODEL, "modelscope")
    shutil.rmtree(complete.parent / "v1")
    (complete / FIRST).unlink()
    assert [checkpoint.source for checkpoint in list_checkpoints()] == ["modelscope", "demo"]
    assert list_checkpoints()[0].problems == (f"{FIRST} is missing",)


def add_snapshot(snapshot: Path, name: str, age: float) -> Path:
    """Another snapshot of the same model."""
    other = Path(shutil.copytree(snapshot, snapshot.with_name(name)))
    os.utime(other, (time.time() - age,) * 2)
    return other


@pytest.mark.parametrize("ref", [None, "", "\n", "gone", "def\n", "../..", b"\xff\xfe", "main"])
def test_the_newest_whole_snapshot_is_taken_where_refs_main_names_none(
    published: Path, caches: Path, ref: str | bytes | None
) -> None:
    oldest = put_in_huggingface_cache(caches / "hf", published)
    (add_snapshot(oldest, "def", age=0) / FIRST).unlink()
    newest = add_snapshot(oldest, "fed", age=100)
    os.utime(oldest, (time.time() - 200,) * 2)
    main = oldest.parent.parent / "refs" / "main"
    main.unlink()
    if ref is not None:
        main.write_bytes(ref if isinstance(ref, bytes) else ref.encode())
    (oldest.parent / ".DS_Store").touch()
    assert find_checkpoint() == find_checkpoint(DEFAULT_MODEL) == Checkpoint(newest, DEFAULT_MODEL, "huggingface")


def test_a_whole_snapshot_that_refs_main_names_comes_before_a_newer_one(published: Path, caches: Path) -> None:
    named = put_in_huggingface_cache(caches / "hf", published)
    os.utime(named, (time.time() - 100,) * 2)
    add_snapshot(named, "def", age=0)
    assert find_checkpoint().path == named
    shutil.rmtree(named.parent.parent / "refs")
    assert find_checkpoint().path == named.with_name("def")


def test_where_no_snapshot_is_whole_the_one_that_refs_main_names_is_described(published: Path, caches: Path) -> None:
    named = put_in_huggingface_cache(caches / "hf", published)
    (named / FIRST).unlink()
    add_snapshot(named, "def", age=0)
    assert find_checkpoint().is_demo
    assert [checkpoint.path for checkpoint in list_checkpoints()] == [named, DEMO_FOLDER]
    assert damaged_checkpoints() == [f"The checkpoint in {named} cannot be used: {FIRST} is missing."]


def test_the_demo_is_the_demo_by_its_folder_too() -> None:
    assert find_checkpoint(str(DEMO_FOLDER)).is_demo


@pytest.mark.parametrize("root", ["~nobody-at-all/x", "file"])
def test_a_cache_that_cannot_be_is_empty(
    tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSCOPE_CACHE", root)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", root)
    assert find_checkpoint().is_demo and damaged_checkpoints() == []


def test_a_served_model_has_its_address_unchanged_and_no_size(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published)
    served = Checkpoint(Path(), "lychee", "server", url="http://host:8000//v1")
    assert (served.url, served.size, served.is_demo, served.problems) == ("http://host:8000//v1", 0, False, ())


def test_the_demo_checkpoint_is_valid_and_small() -> None:
    demo = find_checkpoint("demo")
    assert (demo.problems, demo.path) == ((), DEMO_FOLDER)
    assert demo.size < 20_000_000
