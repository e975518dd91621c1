"""Weights are fetched from a hub, go on where they broke off, and are what the hub says they are, or are refused."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from filelock import FileLock
from huggingface_hub import scan_cache_dir, snapshot_download

from lychee_rerank import Reranker
from lychee_rerank.errors import DownloadError, DownloadStoppedError, InputError
from lychee_rerank.weights.download import Download, Progress, download
from lychee_rerank.weights.download import Hub as Source
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import COMMIT, REPO, Hub, served, sha256

SOURCES: tuple[Source, ...] = ("huggingface", "modelscope")
INDEX = "model.safetensors.index.json"
LOCK = ".lychee-download.lock"

both = pytest.mark.parametrize("source", SOURCES)


@pytest.fixture
def hub(published: Path) -> Iterator[Hub]:
    with served(Hub(published)) as hub:
        yield hub


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    monkeypatch.setattr("lychee_rerank.weights.transfer._WAITS", (0.0,) * 7)
    monkeypatch.setattr("lychee_rerank.weights.transfer._SECONDS_BETWEEN_REPORTS", 0.01)
    return tmp_path


def parts(caches: Path) -> list[Path]:
    return list(caches.rglob("*.incomplete"))


def damage(file: Path) -> None:
    """Other bytes, as many."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


class TestAWholeDownload:
    @both
    def test_is_found_and_loads(self, hub: Hub, source: Source) -> None:
        assert find_checkpoint().is_demo
        fetched = download(source=source, endpoint=hub.address)
        assert (fetched.name, fetched.source, fetched.problems) == (REPO, source, ())
        assert find_checkpoint() == fetched
        Reranker.from_pretrained(str(fetched.path), method="yes_no", dtype="float32", device_map="cpu")

    @both
    def test_holds_what_is_needed_and_nothing_else(self, hub: Hub, source: Source) -> None:
        fetched = download(source=source, endpoint=hub.address)
        needless = {"README.md", "pytorch_model.bin", "onnx/model.safetensors", "generation_config.json"}
        assert {file.name for file in fetched.path.iterdir()} - {LOCK} == set(hub.files) - needless
        assert set(hub.served) == set(hub.files) - needless

    def test_is_what_the_hubs_own_library_would_have_left(self, hub: Hub, caches: Path) -> None:
        fetched = download(endpoint=hub.address)
        assert snapshot_download(REPO, cache_dir=caches / "hf", local_files_only=True) == str(fetched.path)
        cache = scan_cache_dir(caches / "hf")
        assert not cache.warnings
        assert {revision.commit_hash for repo in cache.repos for revision in repo.revisions} == {COMMIT}

    @both
    def test_is_not_fetched_twice(self, hub: Hub, source: Source) -> None:
        download(source=source, endpoint=hub.address)
        hub.served.clear()
        download(source=source, endpoint=hub.address)
        assert not hub.served

    @both
    def test_has_damaged_files_fetched_anew(self, hub: Hub, source: Source) -> None:
        fetched = download(source=source, endpoint=hub.address)
        damage(fetched.path / hub.largest)
        hub.served.clear()
        download(source=source, endpoint=hub.address)
        assert set(hub.served) == {hub.largest}
        assert (fetched.path / hub.largest).read_bytes() == hub.files[hub.largest]

    def test_is_held_against_its_size_alone_where_modelscope_gives_no_checksum(self, hub: Hub) -> None:
        hub.checksums, hub.cuts = False, 3
        assert download(source="modelscope", endpoint=hub.address) == find_checkpoint()

    @pytest.mark.parametrize("links", ["hard", "none"])
    def test_needs_no_symbolic_links(self, hub: Hub, monkeypatch: pytest.MonkeyPatch, links: str) -> None:
        def refused(*_: object) -> None:
            raise OSError("no such right")

        monkeypatch.setattr(Path, "symlink_to", refused)
        if links == "none":
            monkeypatch.setattr(Path, "hardlink_to", refused)
        assert download(endpoint=hub.address) == find_checkpoint()
        hub.served.clear()
        assert download(endpoint=hub.address) == find_checkpoint()
        assert not hub.served

    def test_replaces_an_older_one_only_when_it_is_whole(self, hub: Hub, caches: Path) -> None:
        newest = download(endpoint=hub.address).path
        older = newest.rename(newest.with_name("a" * 40))
        (older.parent.parent / "refs" / "main").write_text(older.name)
        damage(older.parent.parent / "blobs" / sha256(hub.files[hub.largest]))
        hub.statuses[hub.largest] = 404
        with pytest.raises(DownloadError):
            download(endpoint=hub.address)
        assert (older.parent.parent / "refs" / "main").read_text() == older.name
        hub.statuses.clear()
        assert download(endpoint=hub.address).path == find_checkpoint().path == newest


class TestABrokenConnection:
    @both
    def test_cut_five_times_still_ends_whole_and_nothing_comes_twice(self, hub: Hub, source: Source) -> None:
        hub.cuts = 5
        fetched = download(source=source, endpoint=hub.address)
        assert hub.cuts == 0
        for file in (fetched.path / name for name in hub.served):
            assert file.read_bytes() == hub.files[file.name]
            assert hub.served[file.name] == len(hub.files[file.name])

    def test_to_a_server_without_ranges_still_ends_whole(self, hub: Hub) -> None:
        hub.ranges, hub.cuts = False, 2
        assert download(endpoint=hub.address) == find_checkpoint()

    def test_that_ends_early_without_having_told_a_length_is_noticed(self, hub: Hub) -> None:
        hub.tells_length, hub.cuts = False, 5
        assert download(endpoint=hub.address) == find_checkpoint()

    def test_is_made_again_when_the_server_was_busy(self, hub: Hub) -> None:
        hub.busy.update({hub.largest: 3, "config.json": 2})
        assert download(endpoint=hub.address) == find_checkpoint()

    def test_that_never_comes_back_ends_in_one_sentence_and_keeps_the_part(self, hub: Hub, caches: Path) -> None:
        hub.busy[hub.largest] = 1000
        with pytest.raises(DownloadError, match="keeps breaking off .it answers 503.*what was fetched is kept"):
            download(endpoint=hub.address)
        hub.busy.clear()
        assert download(endpoint=hub.address) == find_checkpoint()
        assert not parts(caches)


class TestStopping:
    @both
    def test_keeps_what_was_fetched_and_goes_on_from_there(self, hub: Hub, source: Source, caches: Path) -> None:
        stop, hub.seconds_a_chunk = Event(), 0.01

        def after_a_while(progress: Progress) -> None:
            if progress.done_bytes > progress.total_bytes / 3:
                stop.set()

        with pytest.raises(DownloadStoppedError):
            download(source=source, endpoint=hub.address, report=after_a_while, stop=stop)
        assert find_checkpoint().is_demo
        kept = sum(part.stat().st_size for part in parts(caches))
        assert kept > 0
        hub.served.clear()
        hub.seconds_a_chunk = 0
        assert download(source=source, endpoint=hub.address) == find_checkpoint()
        needed = sum(len(hub.files[file.name]) for file in find_checkpoint().path.iterdir() if file.name != LOCK)
        assert sum(hub.served.values()) <= needed - kept
        assert not parts(caches)

    def test_a_part_of_another_content_is_not_continued(self, hub: Hub, caches: Path) -> None:
        part = caches / "hf" / "models--vec-ai--lychee-rerank-mm" / "blobs" / f"{'f' * 64}.incomplete"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"something else")
        fetched = download(endpoint=hub.address)
        assert (fetched.path / hub.largest).read_bytes() == hub.files[hub.largest]


class TestWhatIsRefused:
    @both
    def test_too_little_disk(self, hub: Hub, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = namedtuple("usage", "total used free")  # noqa: PYI024
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
        with pytest.raises(DownloadError, match=r"needs 0\.0 GB more, and 0\.0 GB are free in .*: make room, or"):
            download(source=source, endpoint=hub.address)
        assert not hub.served

    @both
    @pytest.mark.parametrize("name", ["largest", "config.json"])
    def test_wrong_bytes_which_are_deleted(self, hub: Hub, source: Source, name: str, caches: Path) -> None:
        name = hub.largest if name == "largest" else name
        hub.sent[name] = b"!" + hub.files[name][1:]
        with pytest.raises(DownloadError, match=f"{name} arrived damaged: its checksum is not the one that 127"):
            download(source=source, endpoint=hub.address)
        hub.sent.clear()
        assert download(source=source, endpoint=hub.address) == find_checkpoint()
        assert not parts(caches)

    @both
    @pytest.mark.parametrize("tells_length", [True, False])
    @pytest.mark.parametrize("factor", [0.5, 1.5])
    def test_a_size_that_is_not_true(self, hub: Hub, source: Source, tells_length: bool, factor: float) -> None:
        hub.listed_sizes[hub.largest] = int(len(hub.files[hub.largest]) * factor)
        hub.tells_length = tells_length
        with pytest.raises(DownloadError, match="lists .* bytes and sends .*, so it cannot be trusted"):
            download(source=source, endpoint=hub.address)

    @both
    @pytest.mark.parametrize(
        ("status", "code", "sentence"),
        [
            (401, "RepoNotFound", 'has no "vec-ai/lychee-rerank-mm", or it is private'),
            (404, "", 'has no "vec-ai/lychee-rerank-mm", or it is private'),
            (403, "GatedRepo", "only to people who accepted its terms"),
            (503, "", "answered 503 .* try again later"),
        ],
    )
    def test_a_hub_that_does_not_give_it(self, hub: Hub, source: Source, status: int, code: str, sentence: str) -> None:
        hub.statuses["listing"], hub.error_code = status, code
        with pytest.raises(DownloadError, match=sentence) as refused:
            download(source=source, endpoint=hub.address)
        assert "\n" not in str(refused.value)

    def test_files_behind_terms_that_were_not_accepted(self, hub: Hub) -> None:
        hub.statuses["config.json"], hub.error_code = 401, "GatedRepo"
        with pytest.raises(DownloadError, match="accept them on its page there, log in .* and try again"):
            download(endpoint=hub.address)

    @both
    def test_a_model_that_is_not_there(self, hub: Hub, source: Source) -> None:
        with pytest.raises(DownloadError, match='127.0.0.1:[0-9]+ has no "nobody/nothing"'):
            download("nobody/nothing", source=source, endpoint=hub.address)

    @both
    def test_a_hub_that_is_out_of_reach(self, source: Source) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(DownloadError, match="cannot be reached .*refused.*: check the connection"):
            download(source=source, endpoint=address)

    def test_offline_mode(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
            download(endpoint=hub.address)
        assert not hub.asked

    @pytest.mark.parametrize("repo", ["lychee", "a/b/c", "../..", "a/..", "a/b--c", "C:\\x/y", "", "a b/c"])
    def test_a_name_that_cannot_be_one(self, hub: Hub, repo: str) -> None:
        with pytest.raises(InputError, match="cannot be a model on a hub"):
            download(repo, endpoint=hub.address)

    @pytest.mark.parametrize(
        "endpoint", ["hf-mirror.com", "ftp://x", "https:///", "https://[", "https://x:99999", "https://a b"]
    )
    def test_an_address_that_cannot_be_one(self, endpoint: str) -> None:
        with pytest.raises(InputError, match="is not the address of a hub"):
            download(endpoint=endpoint)

    def test_a_repository_without_safetensors(self, hub: Hub) -> None:
        hub.files = {name: content for name, content in hub.files.items() if not name.endswith(".safetensors")}
        with pytest.raises(DownloadError, match="holds no safetensors weights"):
            download(endpoint=hub.address)

    @both
    def test_a_web_page_where_a_hub_should_be(self, hub: Hub, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        nonsense = {"message": "welcome"}
        monkeypatch.setattr(hub, "huggingface_listing", lambda: nonsense)
        monkeypatch.setattr(hub, "modelscope_listing", lambda: nonsense)
        with pytest.raises(DownloadError, match="does not say what the files"):
            download(source=source, endpoint=hub.address)

    @both
    def test_names_that_lead_out_of_the_folder(self, hub: Hub, source: Source, caches: Path) -> None:
        hub.files |= {"../../x.safetensors": b"x", "..\\y.safetensors": b"y", "/etc/z.safetensors": b"z"}
        fetched = download(source=source, endpoint=hub.address)
        assert not {"x.safetensors", "y.safetensors", "z.safetensors"} & {file.name for file in caches.rglob("*")}
        assert fetched == find_checkpoint()

    def test_a_checkpoint_that_lacks_a_file(self, hub: Hub) -> None:
        del hub.files["preprocessor_config.json"]
        with pytest.raises(DownloadError, match="fetched whole .* cannot be used: preprocessor_config.json is missing"):
            download(endpoint=hub.address)

    def test_a_second_download_at_the_same_time(self, hub: Hub, caches: Path) -> None:
        lock = caches / "hf" / "models--vec-ai--lychee-rerank-mm" / "blobs" / LOCK
        lock.parent.mkdir(parents=True)
        with FileLock(lock), pytest.raises(DownloadError, match="Another download of .* is running"):
            download(endpoint=hub.address)

    @both
    def test_a_cache_that_cannot_be_written(self, hub: Hub, source: Source, caches: Path) -> None:
        for name in ("hf", "ms"):
            (caches / name).write_text("a file where a folder should be")
        with pytest.raises(DownloadError, match="cannot be written: "):
            download(source=source, endpoint=hub.address)

    def test_a_full_disk(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(DownloadError, match="cannot be written: No space left on device"):
            download(endpoint=hub.address)


class TestProgress:
    def test_counts_every_byte_once_and_ends_at_the_total(self, hub: Hub) -> None:
        seen: list[Progress] = []
        hub.cuts, hub.seconds_a_chunk = 3, 0.002
        download(endpoint=hub.address, report=seen.append)
        done = [progress.done_bytes for progress in seen]
        assert done == sorted(done)
        assert (done[-1], seen[-1].total_bytes) == (sum(hub.served.values()),) * 2
        assert any(progress.bytes_per_second and progress.seconds_left is not None for progress in seen)
        assert seen[-1].file in hub.files

    def test_starts_with_what_is_there(self, hub: Hub) -> None:
        download(endpoint=hub.address)
        seen: list[Progress] = []
        download(endpoint=hub.address, report=seen.append)
        assert {progress.done_bytes for progress in seen} == {seen[0].total_bytes}


class TestInAThread:
    def test_it_tells_how_far_it_is_and_ends_with_the_checkpoint(self, hub: Hub) -> None:
        running = Download(endpoint=hub.address)
        running.wait(60)
        done = running.status()
        assert (done.state, done.active, done.error) == ("done", False, None)
        assert done.checkpoint == find_checkpoint()
        assert done.progress and done.progress.done_bytes == done.progress.total_bytes

    def test_it_can_be_stopped(self, hub: Hub) -> None:
        hub.seconds_a_chunk = 0.01
        running = Download(endpoint=hub.address)
        while running.status().state == "asking":
            time.sleep(0.01)
        running.stop()
        running.wait(60)
        assert (running.status().state, running.status().checkpoint) == ("stopped", None)

    def test_a_failure_is_in_the_snapshot(self, hub: Hub) -> None:
        hub.statuses["listing"] = 503
        running = Download(endpoint=hub.address)
        running.wait(60)
        assert running.status().state == "failed"
        assert "answered 503" in str(running.status().error)


class TestPrivacy:
    def test_the_token_goes_to_no_mirror_that_is_only_tried_out(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        download(endpoint=hub.address)
        assert "hf_secret" not in str(hub.asked)

    def test_the_token_goes_to_the_hub_in_use(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        download()
        assert "hf_secret" in str(hub.asked)

    def test_importing_makes_no_connection(self) -> None:
        program = (
            "import socket\n"
            "def refuse(*_): raise AssertionError('a connection')\n"
            "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
            "import lychee_rerank.weights.download, lychee_rerank.cli.main"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
