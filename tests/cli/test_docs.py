"""docs/command-line.md says what `--help` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from lychee_rerank.cli import app
from lychee_rerank.cli.errors import BAD_INPUT, FAILED, NOTHING_SCORED, STOPPED
from support.fake_cli import run_command

DOCUMENT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)$\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
COMMANDS = ("app", "bench", "doctor", "download", "eval", "rank", "store")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NO_DEFAULT = "–"
STORE = "--store --journal"


def help_options(command: str) -> dict[str, str]:
    """The default of each option in the help, "" where it shows none. `--x / --no-x` is one entry "--x --no-x"."""
    result = run_command(command, "--help")
    assert result.exit_code == 0
    options = result.stdout.partition("\nOptions:\n")[2]
    entries = re.findall(r"^  (--.*(?:\n {3,}.*)*)", options, re.MULTILINE)
    return {names(entry): default(entry) for entry in entries if not entry.startswith("--help")}


def names(entry: str) -> str:
    """The option or the pair that an entry begins with, without metavar and description."""
    return " ".join(OPTION.findall(re.split(r"  |\n", entry)[0]))


def default(entry: str) -> str:
    match = re.search(r"default: ([^;\]]*)", " ".join(entry.split()))
    return match[1] if match else ""


def documented_options(command: str) -> dict[str, str]:
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \|", SECTIONS[command], re.MULTILINE)
    return {" ".join(OPTION.findall(option)): value.strip("`").replace(NO_DEFAULT, "") for option, value in rows}


def test_every_command_has_a_section() -> None:
    assert sorted(SECTIONS) == sorted(COMMANDS) == sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_options_and_defaults_are_those_of_the_help(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LYCHEE_MODEL", "LYCHEE_SERVER", "LYCHEE_STORE"):
        monkeypatch.delenv(variable, raising=False)
    expected, documented = help_options(command), documented_options(command)
    if STORE in expected:  # a path that differs between machines
        assert expected.pop(STORE) == "" and documented.pop(STORE) == "your folder for application data"
    assert documented == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_mentioned_exists(command: str) -> None:
    text = re.sub(r"uv run --extra \w+|COMMAND --help|rank --help", "", SECTIONS[command])
    existing = {name for entry in help_options(command) for name in entry.split()}
    if command == "download":  # it says how to use the model afterwards
        existing |= {name for entry in help_options("rank") for name in entry.split()}
    assert set(OPTION.findall(text)) <= existing


def test_the_documented_exit_codes_are_those_of_the_command() -> None:
    codes = re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)
    assert sorted(map(int, codes)) == sorted([0, FAILED, BAD_INPUT, NOTHING_SCORED, STOPPED])
