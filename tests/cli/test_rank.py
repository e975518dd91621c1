from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.errors import ModelError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import Messages
from support.fake_cli import BrightnessJudge, brightness_reranker

GREYS = {"night.png": 10, "dusk.png": 90, "白天.png": 200, "noon[1].png": 250}
BEST_FIRST = ["noon[1].png", "白天.png", "dusk.png", "night.png"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, grey in GREYS.items():
        Image.new("L", (8, 8), grey).save(folder / name)
    return folder


@pytest.fixture
def judge() -> BrightnessJudge:
    return BrightnessJudge()


@pytest.fixture
def reranker(judge: BrightnessJudge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reranker:
    standin = brightness_reranker(judge)
    monkeypatch.setenv("LYCHEE_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setattr("lychee_rerank.cli.rank.open_reranker", lambda *_, **__: standin)
    return standin


def run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin)


def names(ranking: list[dict[str, object]]) -> list[str]:
    return [Path(str(result["name"])).name for result in ranking]


def ranked(*arguments: str | Path, stdin: str | bytes | None = None) -> list[str]:
    result = run("rank", "bright", *arguments, "--json", "-", "--quiet", stdin=stdin)
    assert result.exit_code == 0, result.output
    return names(json.loads(result.stdout)["results"])


@pytest.mark.usefixtures("reranker")
class TestWhatIsRanked:
    def test_a_folder(self, shop: Path) -> None:
        assert ranked(shop) == BEST_FIRST

    def test_files_named_one_by_one_and_twice_are_taken_once(self, shop: Path) -> None:
        assert ranked(shop / "night.png", shop / "dusk.png", shop / "night.png") == ["dusk.png", "night.png"]

    def test_a_glob(self, shop: Path) -> None:
        assert ranked(f"{shop}/*n*.png") == ["noon[1].png", "night.png"]

    def test_a_name_that_looks_like_a_glob_but_is_a_file(self, shop: Path) -> None:
        assert ranked(shop / "noon[1].png") == ["noon[1].png"]

    @pytest.mark.parametrize("between", ["\n", "\r\n", "\0"])
    def test_a_list_on_stdin(self, shop: Path, between: str) -> None:
        assert ranked("-", stdin=between.join(map(str, sorted(shop.iterdir())))) == BEST_FIRST

    def test_a_listed_file_that_is_missing_ranks_last_and_ends_nothing(self, shop: Path) -> None:
        assert ranked("-", stdin=f"{shop}/gone.png\n{shop}/dusk.png\n") == ["dusk.png", "gone.png"]

    def test_folders_in_folders(self, shop: Path) -> None:
        assert ranked(shop.parent) == BEST_FIRST


@pytest.mark.usefixtures("reranker")
class TestWhatIsWritten:
    def test_the_table_in_a_pipe_has_tabs_and_every_picture(self, shop: Path) -> None:
        result = run("rank", "bright", shop)
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        assert [Path(line[2]).name for line in lines] == BEST_FIRST
        assert lines[0][:2] == ["1", "9.8039"]

    def test_progress_goes_to_stderr_as_plain_lines(self, shop: Path) -> None:
        lines = run("rank", "bright", shop).stderr.splitlines()
        assert len(lines) == 4 and lines[0].startswith("1/4 ") and "\x1b" not in "".join(lines)

    def test_top_and_min_score_cut_the_ranking(self, shop: Path) -> None:
        assert ranked(shop, "--top", "1") == BEST_FIRST[:1]
        assert ranked(shop, "--min-score", "3.5") == BEST_FIRST[:3]

    def test_json_and_csv_agree(self, shop: Path, tmp_path: Path) -> None:
        run("rank", "bright", shop, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
        document = json.loads((tmp_path / "r.json").read_bytes())
        table = (tmp_path / "r.csv").read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(table, newline="")))
        assert names(document["results"]) == names(rows) == BEST_FIRST  # type: ignore[arg-type]
        assert document["query"] == rows[0]["query"] == "bright" and document["model"] == "brightness"
        assert sorted(path.name for path in tmp_path.glob("r.*")) == ["r.csv", "r.json"]

    def test_json_lines_come_in_input_order(self, shop: Path, tmp_path: Path) -> None:
        run("rank", "bright", shop, "--jsonl", tmp_path / "r.jsonl")
        lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
        assert [line["index"] for line in lines] == [0, 1, 2, 3]

    def test_pictures_are_copied_under_their_ranks(self, shop: Path, tmp_path: Path) -> None:
        run("rank", "bright", shop, "--top", "2", "--copy-to", tmp_path / "best")
        assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
            "001_9.8_noon[1].png",
            "002_7.8_白天.png",
        ]
        assert (tmp_path / "best" / "002_7.8_白天.png").read_bytes() == (shop / "白天.png").read_bytes()

    def test_pictures_are_linked_under_their_ranks(self, shop: Path, tmp_path: Path) -> None:
        run("rank", "bright", shop, "--link-to", tmp_path / "best")
        assert (tmp_path / "best" / "001_9.8_noon[1].png").samefile(shop / "noon[1].png")

    def test_many_queries_give_an_array_one_table_and_a_folder_each(self, shop: Path, tmp_path: Path) -> None:
        (tmp_path / "q.txt").write_text("\ufeffbright\n\ndark\nBright\n", "utf-8")
        outputs = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv", "--copy-to", tmp_path / "best")
        result = run("rank", "--queries", tmp_path / "q.txt", shop, *outputs, "--top", "2")
        assert result.exit_code == 0, result.output
        first, second, third = json.loads((tmp_path / "r.json").read_bytes())
        assert names(first["results"]) == names(third["results"]) == BEST_FIRST[:2]
        assert names(second["results"]) == BEST_FIRST[:1:-1]
        assert (tmp_path / "r.csv").read_bytes().count(b"\r\n") == 7
        assert len(list((tmp_path / "best").iterdir())) == 3

    def test_names_that_would_break_a_line_or_steer_a_terminal_are_shown_as_escapes(self, tmp_path: Path) -> None:
        steering = tmp_path / "a\nb\x1b[31m\u202egpj.png"
        Image.new("L", (8, 8), 9).save(steering)
        result = run("rank", "bright", steering, "--jsonl", tmp_path / "r.jsonl")
        shown = "a\\nb\\x1b[31m\\u202egpj.png"
        assert len(result.stdout.splitlines()) == len(result.stderr.splitlines()) == 1
        assert shown in result.stdout and shown in result.stderr
        assert json.loads((tmp_path / "r.jsonl").read_bytes())["name"] == str(steering)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
    def test_a_list_between_nulls_takes_names_that_end_in_a_newline(self, tmp_path: Path) -> None:
        Image.new("L", (8, 8), 9).save(tmp_path / "x.png")
        odd = (tmp_path / "x.png").rename(tmp_path / "x.png\n")
        assert ranked("-", stdin=f"{odd}\0") == ["x.png\n"]

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
    def test_a_pipe_is_written_to_and_a_link_followed_instead_of_replaced(self, shop: Path, tmp_path: Path) -> None:
        pipe, link = tmp_path / "pipe", tmp_path / "link.json"
        os.mkfifo(pipe)
        link.symlink_to("real.json")
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            run("rank", "bright", shop, "--csv", pipe, "--json", link)
            assert reader.communicate()[0].count(b"\r\n") == 5
        assert pipe.is_fifo() and link.is_symlink()
        assert names(json.loads((tmp_path / "real.json").read_bytes())["results"]) == BEST_FIRST

    @pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no full disk to write to")
    @pytest.mark.parametrize("output", ["--json", "--csv", "--jsonl"])
    def test_a_full_disk_is_told_in_one_line(self, shop: Path, output: str) -> None:
        result = run("rank", "bright", shop, "--quiet", output, "/dev/full")
        assert (result.exit_code, result.stderr) == (1, "/dev/full cannot be used: No space left on device.\n")

    def test_placing_pictures_goes_on_after_a_stop(
        self, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        best = tmp_path / "best"
        with monkeypatch.context() as broken:
            broken.setattr("lychee_rerank.cli.outputs.shutil.copy2", stops_at_second_call(shutil.copy2))
            result = run("rank", "bright", shop, "--quiet", "--copy-to", best)
        assert result.exit_code == 130 and "Stopped while writing; all scores are kept" in result.stderr
        assert run("rank", "bright", shop, "--quiet", "--top", "2", "--copy-to", best).exit_code == 0
        assert sorted(path.name for path in best.iterdir()) == ["001_9.8_noon[1].png", "002_7.8_白天.png"]


def stops_at_second_call(work: Callable[..., object]) -> Callable[..., object]:
    calls = []

    def stopping(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return work(*arguments)

    return stopping


@pytest.mark.usefixtures("reranker")
class TestResuming:
    def test_a_second_run_scores_nothing_again(self, shop: Path, judge: BrightnessJudge) -> None:
        assert ranked(shop) == ranked(shop) == BEST_FIRST
        assert len(judge.scored) == 4

    def test_a_new_picture_is_the_only_one_scored(self, shop: Path, judge: BrightnessJudge) -> None:
        ranked(shop)
        Image.new("L", (8, 8), 255).save(shop / "sun.png")
        assert ranked(shop) == ["sun.png", *BEST_FIRST]
        assert judge.scored[4:] == ["sun.png"]

    def test_fresh_scores_everything_anew(self, shop: Path, judge: BrightnessJudge) -> None:
        ranked(shop), ranked(shop, "--fresh")
        assert len(judge.scored) == 8

    def test_other_settings_are_another_ranking(self, shop: Path, judge: BrightnessJudge, reranker: Reranker) -> None:
        ranked(shop)
        reranker.options = replace(reranker.options, fit="whole")
        ranked(shop)
        reranker.options = replace(reranker.options, instruction="Find another.")
        ranked(shop)
        assert len(judge.scored) == 12

    def test_queries_that_mean_the_same_are_scored_once(
        self, shop: Path, tmp_path: Path, judge: BrightnessJudge
    ) -> None:
        (tmp_path / "q.txt").write_text("bright\nBRIGHT\n")
        assert run("rank", "--queries", tmp_path / "q.txt", shop).exit_code == 0
        assert len(judge.scored) == 4

    def test_ctrl_c_says_in_one_line_what_is_kept(
        self, shop: Path, judge: BrightnessJudge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(judge, "yes_no", stops_after(judge, 2))
            result = run("rank", "bright", shop, "--quiet")
        assert result.exit_code == 130
        assert result.stderr.splitlines() == [
            "Stopped: 2 of 4 scores are kept; run the same command again to go on from there."
        ]
        assert ranked(shop) == BEST_FIRST
        assert len(judge.scored) == 4


def stops_after(judge: BrightnessJudge, count: int) -> Callable[..., object]:
    answers = judge.score_yes_no

    def interrupted(messages: Messages, picture: PreparedImage) -> object:
        if len(judge.scored) == count:
            raise KeyboardInterrupt
        return answers(messages, picture)

    return interrupted


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_killed_again_and_again_scores_every_picture_once(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (8, 8), (number * 4, number * 37 % 256, number * 91 % 256)).save(folder / f"{number}.png")
    scored = tmp_path / "scored.txt"
    command = [sys.executable, Path(__file__).parents[1] / "support" / "fake_cli.py", "rank", "bright", folder]
    slow = os.environ | {
        "LYCHEE_JOURNAL": str(tmp_path / "j1"),
        "LYCHEE_TEST_DELAY": "0.01",
        "LYCHEE_TEST_SCORED": str(scored),
    }
    for goal in (10, 20, 30, 40, 50):
        process = subprocess.Popen(command, env=slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not scored.exists() or scored.read_text().count("\n") < goal):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    after_kills = subprocess.run(command, env=slow, capture_output=True, check=True).stdout
    undisturbed = os.environ | {"LYCHEE_JOURNAL": str(tmp_path / "j2")}
    assert after_kills == subprocess.run(command, env=undisturbed, capture_output=True, check=True).stdout
    assert after_kills.count(b"\n") == 60
    times = Counter(scored.read_text().split())
    # The kill may fall between a score and its line in the journal: then, and only then, it is worked out again.
    assert len(times) == 60 and sum(times.values()) <= 65


@pytest.mark.usefixtures("reranker")
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["bright", "nowhere"], "There is no file, folder or match for 'nowhere'."),
            (["bright"], "There is no picture to score"),
            (["", "SHOP"], "empty"),
            (["--queries", "none.txt", "SHOP"], "The queries cannot be read from none.txt"),
            (["bright", "SHOP", "--json", "SHOP"], "cannot be written"),
            (["bright", "SHOP", "--csv", "nowhere/x.csv"], "cannot be written"),
            (["bright", "SHOP", "--json", "-", "--csv", "-"], "Only one of"),
            (["bright", "SHOP", "--copy-to", "SHOP"], "is not an empty folder"),
            (["bright", "SHOP", "--copy-to", "SHOP/dusk.png"], "is a file; a new or empty folder is needed"),
            (["bright", "SHOP", "--copy-to", "SHOP/new", "--link-to", "SHOP/new"], "is named for two outputs"),
            (["bright", "SHOP", "--json", "SHOP/x", "--jsonl", "SHOP/./x"], "is named for two outputs"),
            (["bright", "SHOP", "--json", "SHOP/dusk.png"], "is a picture; it would be overwritten"),
            (["bright", "SHOP/empty"], "There is no picture in "),
            (["bright", "-"], "There is no picture in the list on stdin"),
            ([], "Say in one sentence what you are after"),
            (["--queries", "SHOP", "SHOP"], ": Is a directory."),
            (["--queries", "SHOP/dusk.png", "SHOP"], "it is no text in UTF-8"),
            (["bright", "SHOP", "--top", "0"], "'--top': it should be greater than or equal to 1; "),
            (["bright", "SHOP", "--method", "best"], "is not one of 'auto', 'generate', 'yes_no'; "),
            (["bright", "SHOP", "--bogus"], "rank --help lists what can be given."),
        ],
    )
    def test_bad_input_ends_with_code_2_and_one_line(self, shop: Path, arguments: list[str], sentence: str) -> None:
        (shop / "empty").mkdir()
        result = run("rank", *(argument.replace("SHOP", str(shop)) for argument in arguments), stdin="")
        assert result.exit_code == 2
        assert sentence in result.stderr and len(result.stderr.splitlines()) == 1

    def test_pictures_none_of_which_can_be_scored_end_with_code_3(self, tmp_path: Path) -> None:
        (tmp_path / "bad.png").write_text("no picture")
        result = run("rank", "bright", tmp_path / "bad.png", "--quiet")
        assert result.exit_code == 3
        assert "could be scored, the first because: This is not a picture" in result.stderr

    def test_a_model_that_fails_ends_with_code_1_and_one_line(
        self, shop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise ModelError("The weights are [damaged].")

        monkeypatch.setattr("lychee_rerank.cli.rank.open_reranker", fails)
        result = run("rank", "bright", shop)
        assert (result.exit_code, result.stderr) == (1, "The weights are [damaged].\n")


def test_help_needs_neither_torch_nor_streamlit() -> None:
    program = (
        "import sys; from lychee_rerank.cli import app; app(['rank', '--help'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'streamlit', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_the_page_opens_from_any_folder_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from lychee_rerank.cli import app; app()"
    command = [sys.executable, "-c", program, "app", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert answers(port, process)
        listening = {at.laddr.ip for at in psutil.Process(process.pid).net_connections() if at.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
    finally:
        process.terminate()
        process.wait()


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            time.sleep(0.1)
    return False
