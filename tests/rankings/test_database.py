"""One SQLite file: shared by threads and processes, and whatever is wrong with it costs only the keeping."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from lychee_rerank.rankings import database, database_file
from lychee_rerank.rankings.database import FILE_NAME, data_folder
from support.databases import INSERT, WORDS, fill, opened, words


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_is_written_is_there_for_everybody_at_once(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "folder") as first, opened(tmp_path / "new" / "folder") as second:
        assert first.write(INSERT, [("one",)])
        assert words(second) == [("one",)]
        assert (first.path, first.problem) == (tmp_path / "new" / "folder" / FILE_NAME, "")


def test_a_statement_runs_for_all_rows_or_for_none(tmp_path: Path) -> None:
    with opened(tmp_path) as opened_database:
        assert not opened_database.write(INSERT, [("one",), ("two",), ("one",)])
        assert words(opened_database) == []


def test_threads_may_share_a_database(tmp_path: Path) -> None:
    def use(number: int) -> bool:
        kept = opened_database.write(INSERT, [(f"{number:03d}",)])
        return kept and (f"{number:03d}",) in words(opened_database)

    with opened(tmp_path) as opened_database, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(200)))
        assert len(words(opened_database)) == 200


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_is_a_file_costs_only_the_keeping(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with opened(tmp_path / name) as opened_database:
        assert opened_database.write(INSERT, [("for this run only",)])
        assert words(opened_database) == [("for this run only",)]
        assert opened_database.problem.endswith("The ranking goes on without keeping them.")
    assert messages(caplog) == [opened_database.problem]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_keeps_what_fitted_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as opened_database:
        ((pages,),) = opened_database.read("PRAGMA page_count")
        opened_database.read(f"PRAGMA max_page_count = {pages + 2}")
        kept = [word for word in WORDS if opened_database.write(INSERT, [word])]
        assert 0 < len(kept) < 400 and words(opened_database) == kept
        problem = f"Scores cannot be kept in {tmp_path}: database or disk is full."
        assert messages(caplog) == [opened_database.problem]
        assert opened_database.problem == f"{problem} The ranking goes on without keeping them."
        opened_database.read("PRAGMA max_page_count = 9999")
        monkeypatch.setattr(opened_database, "_retry_at", 1.0)  # the minute until the next try is over
        assert opened_database.write(INSERT, [("there is room again",)]) and not opened_database.problem


def test_a_locked_file_is_waited_for_once_and_then_left_alone_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_BUSY_TIMEOUT_S", 0.2)
    with closing(sqlite3.connect(fill(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with opened(tmp_path) as opened_database:
            assert opened_database.problem == ""  # opening waits for nobody
            assert [opened_database.write(INSERT, [(str(number),)]) for number in range(50)] == [False] * 50
            assert words(opened_database) == WORDS
    assert messages(caplog) == [opened_database.problem]
    assert "database is locked" in opened_database.problem


def test_a_closed_database_gives_no_rows_and_no_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path)
    with opened(tmp_path) as opened_database:
        pass
    assert words(opened_database) == [] and not messages(caplog)


def test_shrinking_gives_space_back_and_what_was_set_aside_can_be_deleted(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"damaged")
    path = fill(tmp_path)
    size = path.stat().st_size
    with opened(tmp_path) as opened_database, opened(tmp_path):
        opened_database.write("DELETE FROM words")
        opened_database.shrink()
        assert path.stat().st_size < size / 2
        opened_database.delete_damaged_files()
    assert not list(tmp_path.glob("*damaged*"))


def test_the_folder_is_named_by_the_environment_or_is_that_for_application_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCHEE_STORE", str(tmp_path / "a"))
    monkeypatch.setenv("LYCHEE_JOURNAL", str(tmp_path / "b"))
    assert data_folder() == tmp_path / "a"
    monkeypatch.setenv("LYCHEE_STORE", "~/kept")
    assert data_folder() == Path.home() / "kept"
    monkeypatch.setenv("LYCHEE_STORE", "")
    assert data_folder() == tmp_path / "b"
    monkeypatch.delenv("LYCHEE_JOURNAL")
    default = data_folder()
    assert default and default.is_absolute() and default.name == "lychee-rerank"


def raise_no_home(*_: object, **__: object) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("user_data_path", [lambda *_, **__: Path("~/.local/share/x"), raise_no_home])
def test_without_a_home_directory_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, user_data_path: Callable[..., Path]
) -> None:
    monkeypatch.delenv("LYCHEE_STORE")
    monkeypatch.setattr(database, "user_data_path", user_data_path)
    assert data_folder() is None
    with opened(None) as opened_database:
        assert opened_database.write(INSERT, [("one",)]) and words(opened_database) == [("one",)]
    assert messages(caplog) == [opened_database.problem]
    assert "name a folder with --store or LYCHEE_STORE" in opened_database.problem
