"""Where rankings go: JSON, CSV and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lychee_rerank.cli.outputs import STDOUT, Outputs
from lychee_rerank.errors import InputError
from support.fake_cli import file_names, rank_names, run_command

pytestmark = pytest.mark.usefixtures("reranker")


def test_top_and_min_score_cut_the_ranking(shop: Path, best_first: list[str]) -> None:
    assert rank_names(shop, "--top", "1") == best_first[:1]
    assert rank_names(shop, "--min-score", "3.5") == best_first[:3]


def test_json_and_csv_agree(shop: Path, tmp_path: Path, best_first: list[str]) -> None:
    run_command("rank", "bright", shop, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
    document = json.loads((tmp_path / "r.json").read_bytes())
    table = (tmp_path / "r.csv").read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert file_names(document["results"]) == file_names(rows) == best_first
    assert document["query"] == rows[0]["query"] == "bright" and document["model"] == "brightness"
    assert sorted(path.name for path in tmp_path.glob("r.*")) == ["r.csv", "r.json"]


def test_json_lines_come_in_input_order(shop: Path, tmp_path: Path) -> None:
    run_command("rank", "bright", shop, "--jsonl", tmp_path / "r.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]


def test_several_queries_give_an_array_one_table_and_a_folder_each(
    shop: Path, tmp_path: Path, best_first: list[str]
) -> None:
    (tmp_path / "q.txt").write_text("\ufeffbright\n\ndark\nBright\n", "utf-8")
    outputs = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv", "--copy-to", tmp_path / "best")
    result = run_command("rank", "--queries", tmp_path / "q.txt", shop, *outputs, "--top", "2")
    assert result.exit_code == 0, result.output
    first, second, third = json.loads((tmp_path / "r.json").read_bytes())
    assert file_names(first["results"]) == file_names(third["results"]) == best_first[:2]
    assert file_names(second["results"]) == best_first[:1:-1]
    assert (tmp_path / "r.csv").read_bytes().count(b"\r\n") == 7
    assert len(list((tmp_path / "best").iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_is_written_to_and_a_link_followed_instead_of_replaced(
    shop: Path, tmp_path: Path, best_first: list[str]
) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to("real.json")
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        run_command("rank", "bright", shop, "--csv", pipe, "--json", link)
        assert reader.communicate()[0].count(b"\r\n") == 5
    assert pipe.is_fifo() and link.is_symlink()
    assert file_names(json.loads((tmp_path / "real.json").read_bytes())["results"]) == best_first


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no full disk to write to")
@pytest.mark.parametrize("output", ["--json", "--csv", "--jsonl"])
def test_a_full_disk_is_reported_in_one_line(shop: Path, output: str) -> None:
    result = run_command("rank", "bright", shop, "--quiet", output, "/dev/full")
    assert (result.exit_code, result.stderr) == (1, "/dev/full cannot be used: No space left on device.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "SHOP"], "cannot be written: it is a folder"),
        (["--csv", "nowhere/x.csv"], "cannot be written: there is no folder"),
        (["--json", "-", "--csv", "-"], "Only one of"),
        (["--copy-to", "SHOP"], "is not an empty folder"),
        (["--copy-to", "SHOP/dusk.png"], "is a file; a new or empty folder is needed"),
        (["--copy-to", "SHOP/new", "--link-to", "SHOP/new"], "is named for two outputs"),
        (["--json", "SHOP/x", "--jsonl", "SHOP/./x"], "is named for two outputs"),
        (["--json", "SHOP/dusk.png"], "is a picture; it would be overwritten"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_scoring(
    shop: Path, arguments: list[str], message: str
) -> None:
    result = run_command("rank", "bright", shop, *(argument.replace("SHOP", str(shop)) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--json", "--csv", "--jsonl"])
def test_nothing_is_scored_for_a_closed_stdout(shop: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    outputs = Outputs(**{option.removeprefix("--"): STDOUT})  # type: ignore[arg-type]
    with open(os.devnull, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        with pytest.raises(InputError, match="name a file instead"):
            outputs.check()
