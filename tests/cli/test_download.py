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
from lychee_rerank.cli.download import format_progress
from lychee_rerank.devices.memory import GIB, MIB
from lychee_rerank.weights.download import Progress
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import REPO, FakeHub, serve, use_empty_caches


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    use_empty_caches(tmp_path, monkeypatch)
    with serve(FakeHub(published)) as hub:
        yield hub


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["download", *args])


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_it_prints_the_folder_and_reports_progress(hub: FakeHub, source: str) -> None:
    result = run("--from", source, "--endpoint", hub.address)
    assert result.exit_code == 0, result.stderr
    assert (result.stdout.strip(), find_checkpoint().source) == (str(find_checkpoint().path), source)
    assert "100% " in result.stderr
    assert f"{REPO} is ready" in result.stderr


def test_quiet_prints_nothing_but_the_folder(hub: FakeHub) -> None:
    result = run("--quiet", "--endpoint", hub.address)
    assert (result.stdout.strip(), result.stderr) == (str(find_checkpoint().path), "")


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["nobody/nothing"], 1, 'has no "nobody/nothing", or it is private'),
        (["lychee"], 2, '"lychee" cannot be a model on a hub'),
        (["--endpoint", "mirror"], 2, '"mirror" is not the address of a hub'),
    ],
)
def test_a_failure_is_one_line(hub: FakeHub, args: list[str], code: int, sentence: str) -> None:
    result = run("--endpoint", hub.address, *args)
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1)
    assert sentence in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_keeps_what_was_fetched(hub: FakeHub, tmp_path: Path) -> None:
    hub.seconds_per_chunk = 0.02
    program = f"""
import signal
from huggingface_hub import constants
signal.signal(signal.SIGINT, signal.default_int_handler)
constants.HF_HUB_CACHE, constants.HF_HUB_OFFLINE = {str(tmp_path / "hf")!r}, False
from lychee_rerank.cli import app
app(["download", "--endpoint", {hub.address!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    while not hub.bytes_served[hub.largest]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert output.splitlines()[-1] == "Stopped; what was fetched is kept: the same command continues."
    assert list(tmp_path.rglob("*.lychee-partial"))
    hub.seconds_per_chunk = 0
    assert run("--endpoint", hub.address).exit_code == 0
    assert hub.bytes_served[hub.largest] < 2 * len(hub.files[hub.largest])


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(0, 16_600_000_000), "0 KiB of 15.5 GiB"),
        (Progress(4 * GIB, 16 * GIB, 35.2 * MIB, 355.1), "4.0 GiB of 16.0 GiB, 35 MiB/s, 5:55 left"),
        (Progress(GIB, 2 * GIB, 100 * 1024.0, 10_000.0), "1.0 GiB of 2.0 GiB, 100 KiB/s, 2:46:40 left"),
        (Progress(GIB, GIB, 5.0, 0.0), "1.0 GiB of 1.0 GiB, checking"),
    ],
)
def test_progress_is_formatted_in_bytes_speed_and_time_left(progress: Progress, text: str) -> None:
    assert format_progress(progress) == text
