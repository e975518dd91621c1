"""The file is made once, however many start; a damaged, newer or read-only one costs only the keeping."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lychee_rerank.rankings import database_file
from lychee_rerank.rankings.database import FILE_NAME
from support.databases import INSERT, TABLES, WORDS, fill, opened, words


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


PROCESS = f"""
import sys
from pathlib import Path
from lychee_rerank.rankings.database import Database

for line in sys.stdin:
    database = Database(Path(line.rstrip()), {TABLES!r})
    rows = [(f"{{sys.argv[1]}} {{number}}",) for number in range(25)]
    print(all(database.write({INSERT!r}, [row]) for row in rows) and not database.problem, flush=True)
    database.close()
"""


def test_processes_may_create_and_use_one_file_at_the_same_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS]
    processes = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for number in range(4)
    ]
    for attempt in range(10):
        for process in processes:
            assert process.stdin
            process.stdin.write(f"{tmp_path / str(attempt)}\n")
        assert [process.stdout and process.stdout.readline() for process in processes] == ["True\n"] * 4
        with opened(tmp_path / str(attempt)) as opened_database:
            assert len(words(opened_database)) == 100
    for process in processes:
        process.communicate(timeout=60)


@settings(max_examples=25, deadline=None)
@given(
    damage=st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True)),
        st.tuples(st.just("garbage"), st.floats(0, 1, exclude_max=True)),
        st.just(("not SQLite", 0.0)),
    )
)
def test_a_damaged_file_is_set_aside_or_what_is_readable_is_used(damage: tuple[str, float]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = fill(Path(name))
        content = path.read_bytes()
        kind, position = damage
        at = int(position * len(content))
        # The version of the tables is left alone: another one is no damage.
        at = at if kind != "garbage" or not 44 <= at <= 64 else 4096
        garbage = content[:at] + b"\xa7" * 20 + content[at + 20 :]
        damaged = {"cut": content[:at], "garbage": garbage, "not SQLite": b"no" * 99}[kind]
        path.write_bytes(damaged)
        with opened(Path(name)) as opened_database:
            found = words(opened_database)
            assert opened_database.write("INSERT OR IGNORE INTO words VALUES ('after')") or opened_database.problem
            set_aside = Path(name) / "kept-damaged-1.sqlite3"
            assert (found == [] and set_aside.read_bytes() == damaged) if set_aside.exists() else len(found) == 400
        assert set_aside.exists() or kind == "garbage"


def test_a_damaged_file_is_set_aside_beside_earlier_ones_and_said_in_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in (b"first", b"", b"third"):
        (tmp_path / FILE_NAME).write_bytes(content)
        with opened(tmp_path) as opened_database:
            assert opened_database.write(INSERT, [("one",)]) and not opened_database.problem
    aside = [tmp_path / f"kept-damaged-{number}.sqlite3" for number in (1, 2, 3)]
    assert [path.read_bytes() for path in aside] == [b"first", b"", b"third"]
    assert messages(caplog) == [
        f"{tmp_path / FILE_NAME} is damaged: it is set aside as {path.name}, and a new one begins." for path in aside
    ]


def test_a_file_of_a_newer_version_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = fill(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    content = path.read_bytes()
    with opened(tmp_path) as opened_database:
        assert opened_database.write(INSERT, [("for this run only",)])
        assert words(opened_database) == [("for this run only",)]
    assert path.read_bytes() == content
    assert messages(caplog) == [opened_database.problem]
    assert "newer version of Lychee Rerank and is left as it is: update the program" in opened_database.problem


def test_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(database_file, "FileLock", refuse)
    with opened(tmp_path) as opened_database:
        assert words(opened_database) == WORDS
        assert not opened_database.write(INSERT, [("two",)])
        problem = opened_database.problem
    reason = os.strerror(errno.EROFS)
    assert messages(caplog) == [problem]
    assert problem == f"Scores cannot be kept in {tmp_path}: {reason}. Those kept before are used."


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is read-only for this user")
def test_a_read_only_file_is_read(tmp_path: Path) -> None:
    fill(tmp_path).chmod(0o400)
    with opened(tmp_path) as opened_database:
        assert words(opened_database) == WORDS and opened_database.problem


def test_damage_that_is_met_later_costs_what_was_kept_and_is_set_aside_by_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_MAX_SIZE_CHECKED_ALWAYS", 0)
    path = fill(tmp_path)
    with opened(tmp_path) as opened_database:
        path.write_bytes(path.read_bytes()[:4096] + b"\xa7" * (path.stat().st_size - 4096))
        assert [words(opened_database) for _ in range(5)] == [[]] * 5
    assert messages(caplog) == [opened_database.problem]
    assert opened_database.problem.startswith(f"What was kept cannot be read from {path}: database disk image is malf")
    with opened(tmp_path) as opened_database:
        assert opened_database.write(INSERT, [("one",)])
    assert (tmp_path / "kept-damaged-1.sqlite3").exists()
