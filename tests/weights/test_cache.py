"""Models are found where the hubs' own libraries keep them, and fetched to where those libraries find them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, snapshot_download

from lychee_rerank.errors import DownloadError
from lychee_rerank.weights.cache import cached_folders, modelscope_entry
from lychee_rerank.weights.download import download
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import COMMIT, REPO, FakeHub, sha256

OWNER, NAME = "Qwen", "Qwen2.5-VL"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory whose ModelScope cache is in its default place."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("MODELSCOPE_CACHE", raising=False)
    return tmp_path / ".cache" / "modelscope"


def make_folder(folder: Path, age: float = 0) -> Path:
    folder.mkdir(parents=True)
    os.utime(folder, (folder.stat().st_atime, folder.stat().st_mtime - age))
    return folder


@pytest.mark.parametrize(
    "layout",
    [
        "models/Qwen--Qwen2.5-VL/snapshots/master",
        "models/Qwen--Qwen2.5-VL/snapshots/v1.0",
        "models/Qwen/Qwen2___5-VL",
        "models/Qwen/Qwen2.5-VL",
        "hub/models/Qwen/Qwen2___5-VL",
        "hub/models/Qwen/Qwen2.5-VL",
        "hub/models/Qwen--Qwen2.5-VL/snapshots/master",
        "hub/Qwen/Qwen2___5-VL",
        "Qwen/Qwen2.5-VL",
    ],
)
def test_every_layout_of_the_modelscope_cache_is_found(home: Path, layout: str) -> None:
    folder = make_folder(home / layout)
    assert cached_folders(f"{OWNER}/{NAME}")["modelscope"] == [folder]


def test_the_modelscope_cache_may_be_elsewhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(home / "models" / "Qwen--Qwen2.5-VL" / "snapshots" / "master")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "elsewhere"))
    assert cached_folders(f"{OWNER}/{NAME}")["modelscope"] == []
    folder = make_folder(tmp_path / "elsewhere" / "models" / "Qwen--Qwen2.5-VL" / "snapshots" / "master")
    assert cached_folders(f"{OWNER}/{NAME}")["modelscope"] == [folder]


def test_a_person_without_a_home_directory_has_no_models_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does where there is none
    monkeypatch.chdir(tmp_path)
    assert cached_folders("a/b")["modelscope"] == []


def test_the_newest_revision_comes_first(home: Path) -> None:
    snapshots = home / "models" / "Qwen--Qwen2.5-VL" / "snapshots"
    revisions = [make_folder(snapshots / name, age) for name, age in (("a", 200), ("b", 0), ("c", 100))]
    assert cached_folders(f"{OWNER}/{NAME}")["modelscope"] == [revisions[1], revisions[2], revisions[0]]


@pytest.mark.parametrize("name", ["lychee", "a/b/c", f"{'a' * 250}/{'b' * 250}", "a\0/b", ""])
def test_what_can_be_no_model_of_a_cache_is_in_none(home: Path, name: str) -> None:
    assert not any(cached_folders(name).values())
    assert not home.exists()


def test_a_download_from_modelscope_goes_where_modelscope_looks_today(home: Path) -> None:
    assert modelscope_entry(f"{OWNER}/{NAME}").folder == home / "models/Qwen--Qwen2.5-VL/snapshots/master"


@pytest.mark.parametrize("layout", ["models/Qwen/Qwen2___5-VL", "hub/models/Qwen/Qwen2___5-VL"])
def test_a_folder_that_an_older_modelscope_made_is_continued_as_modelscope_does(home: Path, layout: str) -> None:
    folder = make_folder(home / layout)
    make_folder(home / "models" / "Qwen--Qwen2.5-VL" / "snapshots" / "master")
    assert modelscope_entry(f"{OWNER}/{NAME}").folder == folder


def test_the_hugging_face_library_finds_a_download_and_nothing_odd_in_it(fake_hub: FakeHub, caches: Path) -> None:
    fetched = download(endpoint=fake_hub.address)
    assert snapshot_download(REPO, cache_dir=caches / "hf", local_files_only=True) == str(fetched.path)
    cache = scan_cache_dir(caches / "hf")
    assert not cache.warnings
    assert {revision.commit_hash for repo in cache.repos for revision in repo.revisions} == {COMMIT}


@pytest.mark.parametrize("links", ["hard", "none"])
def test_a_download_needs_no_symbolic_links(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, links: str) -> None:
    def refused(*_: object) -> None:
        raise OSError("no such right")

    monkeypatch.setattr(Path, "symlink_to", refused)
    if links == "none":
        monkeypatch.setattr(Path, "hardlink_to", refused)
    assert download(endpoint=fake_hub.address) == find_checkpoint()
    fake_hub.bytes_served.clear()
    assert download(endpoint=fake_hub.address) == find_checkpoint()
    assert not fake_hub.bytes_served


def test_a_revision_becomes_current_only_when_it_is_complete(fake_hub: FakeHub) -> None:
    newest = download(endpoint=fake_hub.address).path
    older = newest.rename(newest.with_name("a" * 40))
    model = older.parent.parent
    (model / "refs" / "main").write_text(older.name)
    content = fake_hub.files[fake_hub.largest]
    (model / "blobs" / sha256(content)).write_bytes(b"!" + content[1:])
    fake_hub.statuses[fake_hub.largest] = 404
    with pytest.raises(DownloadError):
        download(endpoint=fake_hub.address)
    assert (model / "refs" / "main").read_text() == older.name
    fake_hub.statuses.clear()
    assert download(endpoint=fake_hub.address).path == find_checkpoint().path == newest
