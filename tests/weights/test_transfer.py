"""Bytes arrive once, are continued where a connection broke, and are what the hub lists, or are refused."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from lychee_rerank.errors import DownloadError, DownloadStoppedError
from lychee_rerank.weights.cache import Hub
from lychee_rerank.weights.download import Progress, download
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import FakeHub, sha256

LOCK = ".lychee-download.lock"

either_hub = pytest.mark.parametrize("hub", ["huggingface", "modelscope"])


def partial_files(caches: Path) -> list[Path]:
    return list(caches.rglob("*.lychee-partial"))


@either_hub
def test_complete_files_are_not_fetched_twice(fake_hub: FakeHub, hub: Hub) -> None:
    download(hub=hub, endpoint=fake_hub.address)
    fake_hub.bytes_served.clear()
    download(hub=hub, endpoint=fake_hub.address)
    assert not fake_hub.bytes_served


@either_hub
def test_damaged_files_are_fetched_anew(fake_hub: FakeHub, hub: Hub) -> None:
    file = download(hub=hub, endpoint=fake_hub.address).path / fake_hub.largest
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    fake_hub.bytes_served.clear()
    download(hub=hub, endpoint=fake_hub.address)
    assert set(fake_hub.bytes_served) == {fake_hub.largest}
    assert file.read_bytes() == content


def test_the_size_alone_is_checked_where_modelscope_gives_no_checksum(fake_hub: FakeHub) -> None:
    fake_hub.has_checksums, fake_hub.cuts = False, 3
    assert download(hub="modelscope", endpoint=fake_hub.address) == find_checkpoint()


@either_hub
def test_a_connection_cut_five_times_is_continued_and_no_byte_comes_twice(fake_hub: FakeHub, hub: Hub) -> None:
    fake_hub.cuts = 5
    fetched = download(hub=hub, endpoint=fake_hub.address)
    assert fake_hub.cuts == 0
    for file in (fetched.path / name for name in fake_hub.bytes_served):
        assert file.read_bytes() == fake_hub.files[file.name]
        assert fake_hub.bytes_served[file.name] == len(fake_hub.files[file.name])


def test_a_server_without_ranges_still_gives_the_whole_file(fake_hub: FakeHub) -> None:
    fake_hub.has_ranges, fake_hub.cuts = False, 2
    assert download(endpoint=fake_hub.address) == find_checkpoint()


def test_a_body_of_unknown_length_that_ends_early_is_continued(fake_hub: FakeHub) -> None:
    fake_hub.sends_length, fake_hub.cuts = False, 5
    assert download(endpoint=fake_hub.address) == find_checkpoint()


def test_a_busy_server_is_asked_again(fake_hub: FakeHub) -> None:
    fake_hub.busy.update({fake_hub.largest: 3, "config.json": 2})
    assert download(endpoint=fake_hub.address) == find_checkpoint()


def test_a_server_that_stays_busy_ends_in_one_sentence_and_keeps_what_was_fetched(
    fake_hub: FakeHub, caches: Path
) -> None:
    fake_hub.busy[fake_hub.largest] = 1000
    with pytest.raises(DownloadError, match="keeps breaking off .it answers 503.*what was fetched is kept"):
        download(endpoint=fake_hub.address)
    fake_hub.busy.clear()
    assert download(endpoint=fake_hub.address) == find_checkpoint()
    assert not partial_files(caches)


@pytest.mark.slow
@either_hub
def test_a_stopped_download_is_continued_by_the_next(fake_hub: FakeHub, hub: Hub, caches: Path) -> None:
    stop, fake_hub.seconds_per_chunk = Event(), 0.01

    def stop_at_a_third(progress: Progress) -> None:
        if progress.done_bytes > progress.total_bytes / 3:
            stop.set()

    with pytest.raises(DownloadStoppedError):
        download(hub=hub, endpoint=fake_hub.address, report=stop_at_a_third, stop=stop)
    assert find_checkpoint().is_demo
    kept = sum(file.stat().st_size for file in partial_files(caches))
    assert kept > 0
    fake_hub.bytes_served.clear()
    fake_hub.seconds_per_chunk = 0
    assert download(hub=hub, endpoint=fake_hub.address) == find_checkpoint()
    needed = sum(len(fake_hub.files[file.name]) for file in find_checkpoint().path.iterdir() if file.name != LOCK)
    assert sum(fake_hub.bytes_served.values()) <= needed - kept
    assert not partial_files(caches)


def test_a_part_of_another_content_is_not_continued(fake_hub: FakeHub, caches: Path) -> None:
    partial = caches / "hf" / "models--vec-ai--lychee-rerank-mm" / "blobs" / f".{'f' * 64}.lychee-partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"something else")
    fetched = download(endpoint=fake_hub.address)
    assert (fetched.path / fake_hub.largest).read_bytes() == fake_hub.files[fake_hub.largest]


def test_a_file_of_holes_that_an_older_hub_library_left_is_not_continued(fake_hub: FakeHub, caches: Path) -> None:
    content = fake_hub.files[fake_hub.largest]
    preallocated = caches / "hf" / "models--vec-ai--lychee-rerank-mm" / "blobs" / f"{sha256(content)}.incomplete"
    preallocated.parent.mkdir(parents=True)
    with preallocated.open("wb") as file:
        file.truncate(len(content))
    fetched = download(endpoint=fake_hub.address)
    assert (fetched.path / fake_hub.largest).read_bytes() == content
    assert fake_hub.bytes_served[fake_hub.largest] == len(content)
    assert preallocated.stat().st_size == len(content)


@either_hub
@pytest.mark.parametrize("name", ["largest", "config.json"])
def test_wrong_bytes_are_refused_and_deleted(fake_hub: FakeHub, hub: Hub, name: str, caches: Path) -> None:
    name = fake_hub.largest if name == "largest" else name
    fake_hub.sent_instead[name] = b"!" + fake_hub.files[name][1:]
    with pytest.raises(DownloadError, match=f"{name} arrived damaged: its checksum is not the one that 127"):
        download(hub=hub, endpoint=fake_hub.address)
    fake_hub.sent_instead.clear()
    assert download(hub=hub, endpoint=fake_hub.address) == find_checkpoint()
    assert not partial_files(caches)


@either_hub
@pytest.mark.parametrize("sends_length", [True, False])
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_listed_size_that_is_not_true_is_refused(
    fake_hub: FakeHub, hub: Hub, sends_length: bool, factor: float
) -> None:
    fake_hub.listed_sizes[fake_hub.largest] = int(len(fake_hub.files[fake_hub.largest]) * factor)
    fake_hub.sends_length = sends_length
    with pytest.raises(DownloadError, match="lists .* bytes and sends .*, so it cannot be trusted"):
        download(hub=hub, endpoint=fake_hub.address)


def test_files_behind_terms_that_were_not_accepted_say_what_to_do(fake_hub: FakeHub) -> None:
    fake_hub.statuses["config.json"], fake_hub.error_code = 401, "GatedRepo"
    with pytest.raises(DownloadError, match="accept them on its page there, log in .* and try again"):
        download(endpoint=fake_hub.address)


def test_progress_counts_every_byte_once_and_ends_at_the_total(fake_hub: FakeHub) -> None:
    reports: list[Progress] = []
    fake_hub.cuts, fake_hub.seconds_per_chunk = 3, 0.002
    download(endpoint=fake_hub.address, report=reports.append)
    done = [progress.done_bytes for progress in reports]
    assert done == sorted(done)
    assert (done[-1], reports[-1].total_bytes) == (sum(fake_hub.bytes_served.values()),) * 2
    assert any(progress.bytes_per_second and progress.seconds_left is not None for progress in reports)


def test_progress_starts_with_what_is_on_the_disk(fake_hub: FakeHub) -> None:
    download(endpoint=fake_hub.address)
    reports: list[Progress] = []
    download(endpoint=fake_hub.address, report=reports.append)
    assert {progress.done_bytes for progress in reports} == {reports[0].total_bytes}
