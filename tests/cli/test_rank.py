"""`lychee-rerank rank`: what is scored again and what is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.images import files
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import YesNoOutput
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import Messages
from support import fake_cli
from support.fake_cli import BrightnessBackend, file_names, rank_names, run_command


@pytest.mark.usefixtures("reranker")
def test_a_second_run_scores_nothing_again(shop: Path, backend: BrightnessBackend, best_first: list[str]) -> None:
    assert rank_names(shop) == rank_names(shop) == best_first
    assert len(backend.scored) == 4


@pytest.mark.usefixtures("reranker")
def test_a_new_image_is_the_only_one_scored(shop: Path, backend: BrightnessBackend, best_first: list[str]) -> None:
    rank_names(shop)
    Image.new("L", (8, 8), 255).save(shop / "sun.png")
    assert rank_names(shop) == ["sun.png", *best_first]
    assert backend.scored[4:] == ["sun.png"]


@pytest.mark.usefixtures("reranker")
def test_fresh_scores_everything_again(shop: Path, backend: BrightnessBackend) -> None:
    rank_names(shop), rank_names(shop, "--fresh")
    assert len(backend.scored) == 8


def test_other_settings_are_another_ranking(shop: Path, backend: BrightnessBackend, reranker: Reranker) -> None:
    rank_names(shop)
    reranker.options = replace(reranker.options, fit="whole")
    rank_names(shop)
    reranker.options = replace(reranker.options, instruction="Find another.")
    rank_names(shop)
    assert len(backend.scored) == 12


@pytest.mark.usefixtures("reranker")
def test_queries_that_mean_the_same_are_scored_once(shop: Path, tmp_path: Path, backend: BrightnessBackend) -> None:
    (tmp_path / "q.txt").write_text("bright\nBRIGHT\n")
    assert run_command("rank", "--queries", tmp_path / "q.txt", shop).exit_code == 0
    assert len(backend.scored) == 4


@pytest.mark.usefixtures("reranker")
def test_a_query_as_typed_is_another_ranking(shop: Path, backend: BrightnessBackend) -> None:
    for option in ("--normalize", "--as-typed"):
        assert run_command("rank", "DARK", shop, option, "--quiet").exit_code == 0
    assert len(backend.scored) == 8


@pytest.mark.usefixtures("reranker")
def test_ctrl_c_says_in_one_line_what_is_kept(
    shop: Path, backend: BrightnessBackend, best_first: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(backend, "score_yes_no", interrupt_after(backend, 2))
        result = run_command("rank", "bright", shop, "--quiet")
    assert result.exit_code == 130
    assert result.stderr.splitlines() == [
        "Stopped: 2 of 4 scores are kept; run the same command again to continue from there."
    ]
    assert rank_names(shop) == best_first
    assert len(backend.scored) == 4


def interrupt_after(backend: BrightnessBackend, count: int) -> Callable[..., object]:
    score_yes_no = backend.score_yes_no

    def interrupted(messages: Messages, image: PreparedImage) -> object:
        if len(backend.scored) == count:
            raise KeyboardInterrupt
        return score_yes_no(messages, image)

    return interrupted


@pytest.mark.usefixtures("reranker")
@pytest.mark.parametrize(
    ("arguments", "message"), [([], "Say in one sentence what you are looking for"), (["", "SHOP"], "empty")]
)
def test_a_command_without_a_query_ends_with_code_2(shop: Path, arguments: list[str], message: str) -> None:
    result = run_command("rank", *(argument.replace("SHOP", str(shop)) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("reranker")
def test_images_without_a_score_are_counted_on_stderr(shop: Path) -> None:
    (shop / "bad.png").write_text("no picture")
    result = run_command("rank", "bright", shop, "--quiet")
    assert result.exit_code == 0
    assert result.stderr.startswith("1 of 5 could not be scored; they rank last")


@pytest.mark.usefixtures("reranker")
def test_a_picture_of_which_only_the_middle_was_judged_is_counted_on_stderr(shop: Path) -> None:
    Image.new("L", (3000, 300), 5).save(shop / "panorama.png")
    result = run_command("rank", "bright", shop, "--quiet")
    assert result.stderr.startswith("1 of 5 judged by the middle alone") and "--fit whole" in result.stderr


@pytest.mark.usefixtures("reranker")
def test_another_folder_with_the_same_pictures_is_not_scored(
    shop: Path, tmp_path: Path, backend: BrightnessBackend, best_first: list[str]
) -> None:
    rank_names(shop)
    shutil.copytree(shop, tmp_path / "copy")
    assert rank_names(tmp_path / "copy") == best_first and len(backend.scored) == 4


@pytest.mark.usefixtures("reranker")
@pytest.mark.parametrize("option", ["--store", "--journal"])
def test_scores_are_kept_in_the_folder_that_is_named(
    shop: Path, tmp_path: Path, backend: BrightnessBackend, option: str
) -> None:
    rank_names(shop), rank_names(shop, option, tmp_path / "kept"), rank_names(shop, option, tmp_path / "kept")
    assert len(backend.scored) == 8 and (tmp_path / "kept" / "kept.sqlite3").exists()


@pytest.mark.usefixtures("reranker")
@pytest.mark.parametrize("change", ["removed", "replaced by no picture", "replaced by another"])
def test_every_output_is_written_although_files_change_while_the_run_goes_on(
    shop: Path, tmp_path: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    score_yes_no = backend.score_yes_no
    another = (shop / "noon[1].png").read_bytes()

    def score_and_change(messages: Messages, image: PreparedImage) -> YesNoOutput:
        file = shop / image.name
        file.unlink() if change == "removed" else file.write_bytes(another if "another" in change else b"no picture")
        return score_yes_no(messages, image)

    monkeypatch.setattr(backend, "score_yes_no", score_and_change)
    outputs = [tmp_path / name for name in ("a.json", "a.csv", "a.jsonl")]
    arguments = [part for path in outputs for part in (f"--{path.suffix[1:]}", path)]
    result = run_command("rank", "bright", shop, *arguments, "--quiet")
    assert result.exit_code == 0, result.output
    results = json.loads(outputs[0].read_bytes())["results"]
    assert file_names(results) == ["noon[1].png", "白天.png", "dusk.png", "night.png"]
    assert [round(each["score"] * 25.5) for each in results] == [250, 200, 90, 10]
    assert outputs[1].read_bytes().count(b"\r\n") == 5 and outputs[2].read_bytes().count(b"\n") == 4


@pytest.mark.usefixtures("reranker")
@pytest.mark.parametrize("fails_at", [{1, 2}, {2}], ids=["at first", "later"])
def test_a_file_on_a_drive_that_comes_and_goes_has_its_score_or_one_row_with_the_reason(
    shop: Path, monkeypatch: pytest.MonkeyPatch, fails_at: set[int]
) -> None:
    readings: Counter[str] = Counter()
    read_bytes = files.read_bytes

    def read(source: bytes | str | Path) -> bytes:
        readings[str(source)] += 1
        if "dusk" in str(source) and readings[str(source)] in fails_at:
            raise files.UnusableImageError("unreadable", detail="The network path was not found")
        return read_bytes(source)

    monkeypatch.setattr(files, "read_bytes", read)
    result = run_command("rank", "bright", shop, "--json", "-", "--quiet")
    assert result.exit_code == 0, result.output
    rows = {Path(each["name"]).name: each["error"] for each in json.loads(result.stdout)["results"]}
    assert len(rows) == 4
    error = rows.pop("dusk.png")
    assert error == (None if fails_at == {2} else {"code": "unreadable", "message": f"{UNREADABLE}."})
    assert set(rows.values()) == {None}


UNREADABLE = "The file cannot be read: The network path was not found"


@pytest.mark.usefixtures("reranker")
def test_a_stopped_run_whose_scores_are_not_kept_does_not_say_that_they_are(
    shop: Path, tmp_path: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(backend, "score_yes_no", interrupt_after(backend, 2))
    result = run_command("rank", "bright", shop, "--quiet", "--store", tmp_path / "file")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].startswith("Stopped: Scores cannot be kept in")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_many_queries_need_few_open_files(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("\n".join(f"bright {number}" for number in range(200)))
    command = [
        sys.executable,
        fake_cli.__file__,
        "rank",
        "--queries",
        tmp_path / "q.txt",
        shop,
        "--csv",
        "-",
        "--quiet",
    ]
    arguments = ["rank", "--queries", tmp_path / "q.txt", shop, "--csv", "-", "--quiet"]
    command = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", sys.executable, fake_cli.__file__, *arguments]
    result = subprocess.run(command, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.count(b"\r\n") == 801


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_killed_again_and_again_scores_every_image_once(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(240):
        Image.new("RGB", (8, 8), (number, number * 37 % 256, number * 91 % 256)).save(folder / f"{number}.png")
    scored = tmp_path / "scored.txt"
    command = [sys.executable, fake_cli.__file__, "rank", "bright", folder, "--quiet"]
    slow = os.environ | {"LYCHEE_TEST_DELAY": "0.005", "LYCHEE_TEST_SCORED": str(scored)}
    for goal in (40, 80, 120, 160, 200):
        process = subprocess.Popen(command, env=slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not scored.exists() or scored.read_text().count("\n") < goal):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    after_kills = subprocess.run(command, env=slow, capture_output=True, check=True)
    undisturbed = subprocess.run([*command, "--store", tmp_path / "other"], capture_output=True, check=True)
    assert (after_kills.stdout, after_kills.stderr) == (undisturbed.stdout, b"")
    assert after_kills.stdout.count(b"\n") == 240
    times = Counter(scored.read_text().split())
    # The kill may fall between a score and its row in the store: only then is the image scored twice.
    assert len(times) == 240 and sum(times.values()) <= 245


@pytest.mark.slow
def test_runs_at_the_same_time_share_a_store(tmp_path: Path, shop: Path) -> None:
    command = [sys.executable, fake_cli.__file__, "rank", "bright", shop, "--quiet", "--store", tmp_path / "new"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert len(set(results)) == 1 and results[0][1] == b"" and results[0][0].count(b"\n") == 4
