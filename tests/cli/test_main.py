"""The entry point, and usage errors in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
