"""`lychee-rerank store`, and what a person sees of a store that cannot be used."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support import fake_cli
from support.fake_cli import BrightnessBackend, rank_names, run_command


@pytest.fixture
def kept(shop: Path, tmp_path: Path, reranker: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with four scores."""
    assert reranker
    monkeypatch.setenv("LYCHEE_STORE", str(tmp_path / "kept"))
    rank_names(shop)
    return tmp_path / "kept" / "kept.sqlite3"


def test_it_says_where_things_are_kept_and_how_many(kept: Path) -> None:
    result = run_command("store")
    assert result.exit_code == 0 and result.stderr == ""
    file, size, scores, rankings, advice = result.stdout.splitlines()
    assert (file, scores, rankings) == (f"File: {kept}", "Scores: 4", "Rankings of the page: 0")
    assert re.fullmatch(r"Size: \d+ KiB", size) and advice == "To delete all of it, add --clear."


def test_another_folder_can_be_named(kept: Path, tmp_path: Path) -> None:
    assert f"File: {tmp_path / 'other' / 'kept.sqlite3'}" in run_command("store", "--store", tmp_path / "other").stdout


def test_everything_is_deleted_after_a_yes(
    kept: Path, shop: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept.parent / "kept-damaged-1.sqlite3").write_bytes(b"damaged")
    monkeypatch.setattr("lychee_rerank.cli.store._can_be_asked", lambda: True)
    for answer in ("n", "", "yes please"):
        assert run_command("store", "--clear", stdin=f"{answer}\n").stdout.endswith("Nothing was deleted.\n")
    assert "Scores: 4" in run_command("store").stdout
    result = run_command("store", "--clear", stdin="y\n")
    assert result.exit_code == 0 and result.stdout.endswith("All of it is deleted.\n")
    assert "Scores: 0" in run_command("store").stdout and not list(kept.parent.glob("*damaged*"))
    rank_names(shop)
    assert len(backend.scored) == 8


def test_nobody_is_asked_without_a_terminal(kept: Path) -> None:
    result = run_command("store", "--clear", stdin="y\n")
    assert result.exit_code == 2
    assert result.stderr == "Nothing was deleted, because nobody can be asked here: add --yes.\n"
    assert "Scores: 4" in run_command("store").stdout
    assert run_command("store", "--clear", "--yes").exit_code == 0
    assert "Scores: 0" in run_command("store").stdout


def test_a_store_that_cannot_be_cleared_ends_with_code_1(kept: Path) -> None:
    with closing(sqlite3.connect(kept)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = kept.read_bytes()
    result = run_command("store", "--clear", "--yes")
    assert (result.exit_code, result.stdout) == (1, "") and kept.read_bytes() == before


# A store that cannot be used, as a person sees it ---------------------------------------------------------------------


def cut(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])


def write_newer(kept: Path) -> None:
    with closing(sqlite3.connect(kept)) as connection:
        connection.execute("PRAGMA user_version = 99")


def replace_folder(kept: Path) -> None:
    for file in kept.parent.iterdir():
        file.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "{kept} is damaged: it is set aside as kept-damaged-1.sqlite3, and a new one begins."),
        (write_newer, "{kept} was written by a newer version of Lychee Rerank and is left as it is: update the "
         "program, or name another folder with --store. Nothing is kept until then."),
        (replace_folder, "Scores cannot be kept in {kept.parent}: it is a file, not a folder. The ranking goes on "
         "without keeping them."),
    ],
)  # fmt: skip
def test_the_ranking_comes_and_one_line_says_why_nothing_is_kept(
    kept: Path, shop: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(kept)
    command = [sys.executable, fake_cli.__file__, "rank", "bright", shop, "--json", "-", "--quiet"]
    result = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"COLUMNS": "60"})
    assert result.returncode == 0
    assert result.stderr.decode() == f"{message.format(kept=kept)}\n"
    assert len(json.loads(result.stdout)["results"]) == 4
