"""`lychee-rerank download`: what a person sees, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.cli.download import in_words
from lychee_rerank.weights.download import Progress
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import REPO, Hub, served


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    with served(Hub(published)) as hub:
        yield hub


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["download", *arguments])


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_it_prints_the_folder_and_says_how_far_it_is(hub: Hub, source: str) -> None:
    result = run("--from", source, "--endpoint", hub.address)
    assert result.exit_code == 0, result.stderr
    assert (result.stdout.strip(), find_checkpoint().source) == (str(find_checkpoint().path), source)
    assert "100% " in result.stderr
    assert f"{REPO} is ready" in result.stderr


def test_quiet_says_nothing_but_the_folder(hub: Hub) -> None:
    result = run("--quiet", "--endpoint", hub.address)
    assert (result.stdout.strip(), result.stderr) == (str(find_checkpoint().path), "")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nobody/nothing"], 1, 'has no "nobody/nothing", or it is private'),
        (["lychee"], 2, '"lychee" cannot be a model on a hub'),
        (["--endpoint", "mirror"], 2, '"mirror" is not the address of a hub'),
    ],
)
def test_a_failure_is_one_line(hub: Hub, arguments: list[str], code: int, sentence: str) -> None:
    result = run("--endpoint", hub.address, *arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1)
    assert sentence in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_keeps_what_was_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.seconds_a_chunk = 0.02
    program = f"""
import signal
from huggingface_hub import constants
signal.signal(signal.SIGINT, signal.default_int_handler)
constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE = {str(tmp_path / "hf")!r}, False
from lychee_rerank.cli import app
app(["download", "--endpoint", {hub.address!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    while not hub.served[hub.largest]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped; what was fetched is kept: the same command goes on from there."
    assert list(tmp_path.rglob("*.incomplete"))
    hub.seconds_a_chunk = 0
    assert run("--endpoint", hub.address).exit_code == 0
    assert hub.served[hub.largest] < 2 * len(hub.files[hub.largest])


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(0, 16_600_000_000, None, None, ""), "0.0 of 16.6 GB"),
        (Progress(4_100_000_000, 16_600_000_000, 35_200_000.0, 355.1, "a"), "4.1 of 16.6 GB, 35.2 MB/s, 5:55 left"),
        (Progress(10**9, 2 * 10**9, 100_000.0, 10_000.0, "a"), "1.0 of 2.0 GB, 0.1 MB/s, 2:46:40 left"),
        (Progress(10**9, 10**9, 5.0, 0.0, "a"), "1.0 of 1.0 GB, checking"),
    ],
)
def test_progress_is_told_in_gb_mb_a_second_and_minutes(progress: Progress, words: str) -> None:
    assert in_words(progress) == words
