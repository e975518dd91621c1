"""A checkpoint is fetched from a hub and found afterwards, or the reason is said in one sentence."""

from __future__ import annotations

import time
from collections import namedtuple
from pathlib import Path

import pytest
from filelock import FileLock

from lychee_rerank import Reranker
from lychee_rerank.errors import DownloadError
from lychee_rerank.weights.download import Download, Hub, download
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import REPO, FakeHub

LOCK = ".lychee-download.lock"

either_hub = pytest.mark.parametrize("hub", ["huggingface", "modelscope"])


@either_hub
def test_a_download_is_found_and_loads(fake_hub: FakeHub, hub: Hub) -> None:
    assert find_checkpoint().is_demo
    fetched = download(hub=hub, endpoint=fake_hub.address)
    assert (fetched.name, fetched.source, fetched.problems) == (REPO, hub, ())
    assert find_checkpoint() == fetched
    Reranker.from_pretrained(str(fetched.path), method="yes_no", dtype="float32", device_map="cpu")


@either_hub
def test_a_download_holds_what_is_needed_and_nothing_else(fake_hub: FakeHub, hub: Hub) -> None:
    fetched = download(hub=hub, endpoint=fake_hub.address)
    needless = {"README.md", "pytorch_model.bin", "onnx/model.safetensors", "generation_config.json"}
    assert {file.name for file in fetched.path.iterdir()} - {LOCK} == set(fake_hub.files) - needless
    assert set(fake_hub.bytes_served) == set(fake_hub.files) - needless


@either_hub
def test_too_little_disk_space_is_noticed_before_anything_is_fetched(
    fake_hub: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(DownloadError, match=r"needs \d+ MiB more, and 1 KiB are free in .*: make room, or"):
        download(hub=hub, endpoint=fake_hub.address)
    assert not fake_hub.bytes_served


def test_a_fetched_checkpoint_that_lacks_a_file_is_refused(fake_hub: FakeHub) -> None:
    del fake_hub.files["preprocessor_config.json"]
    with pytest.raises(DownloadError, match="fetched whole .* cannot be used: preprocessor_config.json is missing"):
        download(endpoint=fake_hub.address)


def test_a_second_download_at_the_same_time_is_refused(fake_hub: FakeHub, caches: Path) -> None:
    lock = caches / "hf" / "models--vec-ai--lychee-rerank-mm" / "blobs" / LOCK
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(DownloadError, match="Another download of .* is running"):
        download(endpoint=fake_hub.address)


@either_hub
def test_a_cache_that_cannot_be_written_is_named(fake_hub: FakeHub, hub: Hub, caches: Path) -> None:
    for name in ("hf", "ms"):
        (caches / name).write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match="cannot be written: "):
        download(hub=hub, endpoint=fake_hub.address)


def test_a_full_disk_is_said(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DownloadError, match="cannot be written: No space left on device"):
        download(endpoint=fake_hub.address)


def test_a_download_in_a_thread_ends_with_the_checkpoint(fake_hub: FakeHub) -> None:
    running = Download(endpoint=fake_hub.address)
    running.wait(60)
    status = running.status()
    assert (status.state, status.active, status.error) == ("done", False, None)
    assert status.checkpoint == find_checkpoint()
    assert status.progress and status.progress.done_bytes == status.progress.total_bytes


def test_a_download_in_a_thread_can_be_stopped(fake_hub: FakeHub) -> None:
    fake_hub.seconds_per_chunk = 0.01
    running = Download(endpoint=fake_hub.address)
    while running.status().state == "asking":
        time.sleep(0.01)
    running.stop()
    running.wait(60)
    assert (running.status().state, running.status().checkpoint) == ("stopped", None)


def test_a_failure_in_a_thread_is_in_the_status(fake_hub: FakeHub) -> None:
    fake_hub.statuses["listing"] = 503
    running = Download(endpoint=fake_hub.address)
    running.wait(60)
    assert running.status().state == "failed"
    assert "answered 503" in str(running.status().error)
