"""`lychee-rerank rank`: what is scored again and what is not."""

from __future__ import annotations

import os
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

from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import Messages
from support import fake_cli
from support.fake_cli import BrightnessBackend, rank_names, run_command


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_killed_again_and_again_scores_every_image_once(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (8, 8), (number * 4, number * 37 % 256, number * 91 % 256)).save(folder / f"{number}.png")
    scored = tmp_path / "scored.txt"
    command = [sys.executable, fake_cli.__file__, "rank", "bright", folder]
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
    # The kill may fall between a score and its line in the journal: only then is the image scored twice.
    assert len(times) == 60 and sum(times.values()) <= 65
