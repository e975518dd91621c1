"""The entry point, and usage errors in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import fake_cli
from support.fake_cli import run_command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "'--top': it should be greater than or equal to 1; "),
        (["--method", "best"], "is not one of 'auto', 'generate', 'yes_no'; "),
        (["--bogus"], "rank --help lists what can be given."),
    ],
)
def test_a_usage_error_ends_with_code_2_and_one_line_that_names_the_help(arguments: list[str], message: str) -> None:
    result = run_command("rank", "bright", ".", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_the_command_alone_shows_its_help() -> None:
    result = run_command()
    assert "Usage: lychee-rerank" in result.output and "Exit codes: 0 done" in result.output


def run_in_shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`command` with $RANK standing for `lychee-rerank rank` by a fake model. What a locale turns into bytes stays."""
    rank = f"{sys.executable} {fake_cli.__file__} rank"
    environment = os.environ | {"RANK": rank, "LYCHEE_JOURNAL": str(cwd / "journal")} | environment
    return subprocess.run(
        ["sh", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, errors="replace", check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_works_without_the_streams_that_it_does_not_use(shop: Path, closed: str) -> None:
    result = run_in_shell(f"$RANK bright . --quiet --csv r.csv {closed}", shop)
    assert (result.returncode, result.stderr) == (0, "")
    assert (shop / "r.csv").read_bytes().count(b"\r\n") == 5


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_what_is_asked_of_a_closed_stream_is_refused_in_one_line(shop: Path) -> None:
    result = run_in_shell("$RANK bright . --json - >&-", shop)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1) and "Stdout is closed" in result.stderr
    result = run_in_shell("$RANK bright - <&-", shop)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1) and "stdin" in result.stderr.lower()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_reader_that_leaves_early_is_no_error_to_speak_of(shop: Path) -> None:
    result = run_in_shell("$RANK bright . --quiet --jsonl - | true", shop)
    assert result.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no folder that is in use")
def test_a_current_folder_that_was_deleted_is_told(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "gone").mkdir()
    result = run_in_shell(f"cd gone && rmdir ../gone && $RANK bright {shop}", tmp_path)
    assert result.returncode == 2
    assert result.stderr == "The current folder no longer exists: change to another one and try again.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locale")
def test_a_query_in_chinese_is_read_in_the_c_locale(shop: Path) -> None:
    plain_c = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    result = run_in_shell("$RANK 明亮 noon*.png 白天.png --quiet --json -", shop, **plain_c)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["normalized"] == "明亮"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/nowhere/at/all"},
        {"HOME": "", "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""},
        {"TMPDIR": "/nowhere", "TERM": "", "NO_COLOR": "1", "COLUMNS": "x"},
        {"HF_HOME": "/dev/null/x", "MODELSCOPE_CACHE": "~nobody-at-all/x"},
        {"ALL_PROXY": "socks://127.0.0.1:1080", "NO_PROXY": "::1,[", "SSL_CERT_FILE": "/nowhere"},
    ],
)
def test_ranking_needs_nothing_of_the_environment(shop: Path, environment: dict[str, str]) -> None:
    result = run_in_shell("$RANK bright . --quiet --top 1", shop, **environment)
    assert (result.returncode, result.stderr) == (0, "") and "noon[1].png" in result.stdout


def test_help_needs_neither_torch_nor_streamlit() -> None:
    program = (
        "import sys; from lychee_rerank.cli import app; app(['rank', '--help'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'streamlit', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("first", ["lychee_rerank.cli.app", "lychee_rerank.cli.main", "lychee_rerank.cli.rank"])
def test_the_entry_point_is_the_command_whatever_module_is_imported_first(first: str) -> None:
    program = f"import {first}; from lychee_rerank.cli import app; app()"
    result = subprocess.run([sys.executable, "-c", program, "--help"], check=True, capture_output=True, text=True)
    assert "rank" in result.stdout and "doctor" in result.stdout
