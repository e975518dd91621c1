"""Progress and the finished ranking, on a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from lychee_rerank.cli import progress
from lychee_rerank.errors import PictureProblem
from lychee_rerank.results import ConditionScore, ImageScore
from support.fake_cli import run_command

RANKING = [
    ImageScore(1, "best [bold].png", 8.64, "yes_no", rank=1),
    ImageScore(2, "second.png", 3.0, "yes_no", rank=2),
    ImageScore(0, "bad.png", 0.0, "yes_no", rank=3, problem=PictureProblem("empty")),
]


@pytest.mark.usefixtures("reranker")
def test_the_table_in_a_pipe_has_tabs_and_every_image(shop: Path, best_first: list[str]) -> None:
    result = run_command("rank", "bright", shop)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [Path(line[2]).name for line in lines] == best_first
    assert lines[0][:2] == ["1", "9.8039"]


@pytest.mark.usefixtures("reranker")
def test_progress_goes_to_stderr_as_plain_lines(shop: Path) -> None:
    lines = run_command("rank", "bright", shop).stderr.splitlines()
    assert len(lines) == 4 and lines[0].startswith("1/4 ") and "\x1b" not in "".join(lines)


@pytest.mark.usefixtures("reranker")
def test_quiet_shows_no_progress(shop: Path) -> None:
    assert run_command("rank", "bright", shop, "--quiet").stderr == ""


@pytest.mark.usefixtures("reranker")
def test_names_that_would_break_a_line_or_steer_a_terminal_are_shown_as_escapes(tmp_path: Path) -> None:
    image = tmp_path / "a\nb\x1b[31m\u202egpj.png"
    Image.new("L", (8, 8), 9).save(image)
    result = run_command("rank", "bright", image, "--jsonl", tmp_path / "r.jsonl")
    shown = "a\\nb\\x1b[31m\\u202egpj.png"
    assert len(result.stdout.splitlines()) == len(result.stderr.splitlines()) == 1
    assert shown in result.stdout and shown in result.stderr
    assert json.loads((tmp_path / "r.jsonl").read_bytes())["name"] == str(image)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.usefixtures("reranker")
def test_names_that_are_not_utf_8_come_in_every_output_as_escapes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/Mu\xf1oz.png"
    Image.new("L", (8, 8), 9).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", raw)
    outputs = [f"--{kind}={tmp_path}/r.{kind}" for kind in ("csv", "json", "jsonl")]
    result = run_command("rank", "bright", os.fsdecode(raw), *outputs, "--copy-to", tmp_path / "best")
    assert result.exit_code == 0, result.output
    shown = "Mu\\udcf1oz.png"
    assert shown in result.stdout and shown in result.stderr
    assert all(shown in (tmp_path / f"r.{kind}").read_text("utf-8") for kind in ("csv", "json", "jsonl"))
    assert os.fsencode(json.loads((tmp_path / "r.json").read_bytes())["results"][0]["name"]) == raw
    assert [file.read_bytes() for file in (tmp_path / "best").iterdir()] == [Path(os.fsdecode(raw)).read_bytes()]


def test_a_terminal_gets_a_table_with_the_reasons_and_says_how_many_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(progress, "_MAX_ROWS", 2)
    progress.show_table("a [mug]", RANKING, all_rows=False)
    shortened = capsys.readouterr().out
    assert "a [mug]" in shortened and "best [bold].png" in shortened and "bad.png" not in shortened
    assert "... and 1 more; --top 3 shows all." in shortened
    progress.show_table("a [mug]", RANKING, all_rows=True)
    assert "The file is empty (0 bytes)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("width", "line"), [(100, "1 8.6 9.1 2.0 best [bold].png"), (60, "海边 9.1, a long dress 2.0")]
)
def test_conditions_are_columns_or_a_line_of_their_own_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, line: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    conditions = (ConditionScore("海边", 9.1), ConditionScore("a long dress", 2.0))
    ranking = [replace(RANKING[0], conditions=conditions), *RANKING[1:]]
    progress.show_table("a mug", ranking, all_rows=True, conditions=("海边", "a long dress"))
    lines = [" ".join(row.replace("│", " ").split()) for row in capsys.readouterr().out.splitlines()]
    assert line in lines


def test_a_terminal_gets_a_bar_that_counts_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=120, record=True)
    monkeypatch.setattr(progress, "stderr_console", console)
    with progress.progress_reporter(3, quiet=False) as report:
        for result in RANKING:
            report(result)
    assert "3/3" in console.export_text()
