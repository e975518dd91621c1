"""Copies of dropped pictures: within a budget, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lychee_rerank.rankings.dropped import DroppedFiles


def dropped(folder: Path, *sizes: int, budget: int = 100) -> DroppedFiles:
    """Holds copies named 0, 1, ...; the first is the oldest."""
    files = DroppedFiles(folder / "dropped", budget)
    for key, size in enumerate(sizes):
        assert files.keep(str(key), bytes(size), set)
        os.utime(files.path(str(key)), (key, key))
    return files


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder / "dropped"))


def test_a_copy_holds_the_bytes_and_counts(tmp_path: Path) -> None:
    files = dropped(tmp_path)
    assert files.keep("a", b"123", set) and files.keep("a", b"123", set)
    assert files.path("a").read_bytes() == b"123"
    assert (names(tmp_path), files.size()) == (["a"], 3)


def test_for_room_the_oldest_that_nobody_needs_are_deleted(tmp_path: Path) -> None:
    files = dropped(tmp_path, 40, 30, 30)
    assert files.keep("3", bytes(20), lambda: {"0", "3"})
    assert names(tmp_path) == ["0", "2", "3"]


def test_what_does_not_fit_is_not_kept_and_costs_nothing_needed(tmp_path: Path) -> None:
    files = dropped(tmp_path, 40, 50)
    assert not files.keep("2", bytes(20), lambda: {"0", "1", "2"})
    assert (names(tmp_path), files.problem) == (["0", "1"], "")
    assert files.keep("3", bytes(10), lambda: {"0", "1", "3"})


def test_copies_of_an_earlier_process_count(tmp_path: Path) -> None:
    dropped(tmp_path, 60)
    assert not DroppedFiles(tmp_path / "dropped", 100).keep("1", bytes(50), lambda: {"0"})


def test_a_folder_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "dropped").write_text("a file, not a folder")
    files = DroppedFiles(tmp_path / "dropped")
    assert not files.keep("a", b"1", set)
    assert files.problem


def test_a_full_disk_leaves_no_part_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    files = dropped(tmp_path, 10)
    monkeypatch.setattr(os, "replace", fail)
    assert not files.keep("1", bytes(10), set)
    assert (names(tmp_path), files.problem) == (["0"], "No space left on device")


def test_what_is_not_needed_is_deleted_with_the_rests_of_an_interrupted_writing(tmp_path: Path) -> None:
    files = dropped(tmp_path, 10, 20)
    files.path("1.half").write_bytes(b"x")
    files.delete_except({"1"})
    assert names(tmp_path) == ["1"]
    assert files.keep("2", bytes(80), lambda: {"1", "2"})
