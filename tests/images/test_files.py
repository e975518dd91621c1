"""Image files are found, read within limits and identified by content."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lychee_rerank.images import files
from lychee_rerank.images.files import (
    MAX_BYTES,
    MAX_RAW_BYTES,
    SPECIAL,
    UnusableImageError,
    default_name,
    find_images,
    has_image_suffix,
    is_system_name,
    list_folder,
    read_bytes,
)
from lychee_rerank.images.load import load_image
from support.images import encode, patchwork

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of files that would keep their reader waiting, or deliver for ever."""
    folder = tmp_path / "special"
    folder.mkdir()
    monkeypatch.chdir(folder)  # the path of a socket must be short
    os.mkfifo("pipe.png")
    os.symlink("pipe.png", "link.png")
    os.symlink("/dev/zero", "zero.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        yield folder


def create(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder)]


def problem_code(source: bytes | str | Path) -> str:
    with pytest.raises(UnusableImageError) as refused:
        read_bytes(source)
    return refused.value.problem.code


def test_images_are_found_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    create(tmp_path, "b10.png", "b2.JPG", "a/1.webp", ".hidden/x.png", ".h.png", "notes.txt")
    assert found(tmp_path) == ["a/1.webp", "b2.JPG", "b10.png"]


def test_other_files_are_counted_by_suffix(tmp_path: Path) -> None:
    create(tmp_path, "a.png", "b.jxl", "c/d.JXL", "e.svg", "README", ".hidden", "f.a name with a full stop")
    assert list_folder(tmp_path).left_out == {".jxl": 2, ".svg": 1, "": 2}


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "#recycle", "#Snapshot", "$RECYCLE.BIN", "System Volume Information", ".Trash-1000", ".Trashes"]
    + ["lost+found", "__MACOSX", "@Recycle", ".thumbnails", "LOST.DIR"],
)
def test_folders_of_the_system_are_passed_over_unless_a_person_names_them(tmp_path: Path, name: str) -> None:
    create(tmp_path, f"{name}/a.png", f"sub/{name.lower()}/b.png", "c.png")
    listing = list_folder(tmp_path)
    assert found(tmp_path) == ["c.png"] and not listing.left_out
    assert found(tmp_path / name) == ["a.png"]


def test_files_of_the_system_are_neither_images_nor_left_out(tmp_path: Path) -> None:
    create(tmp_path, "._a.png", "Thumbs.db", "desktop.ini", ".DS_Store")
    listing = list_folder(tmp_path)
    assert not listing.images and not listing.left_out
    assert not is_system_name("a.png")


@posix
def test_links_are_followed_and_each_folder_is_listed_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    create(folder, "z/a.png")
    create(elsewhere, "b.png", "deep/c.png")
    for link, target in {"b": "z", "one": elsewhere, "two": elsewhere, "z/up": folder, "loop": "loop"}.items():
        (folder / link).symlink_to(target)
    (folder / "file.png").symlink_to(elsewhere / "b.png")
    (elsewhere / "deep" / "back").symlink_to(elsewhere)
    assert found(folder) == ["file.png", "one/b.png", "one/deep/c.png", "z/a.png"]


@posix
def test_a_link_up_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    create(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "sub" / "up").symlink_to("..")
    assert found(tmp_path / "sub") == ["b.png"]


@posix
def test_a_broken_link_keeps_its_place_and_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("gone.png")
    assert found(tmp_path) == ["a.png"]
    assert problem_code(tmp_path / "a.png") == "not_found"


def test_folders_that_cannot_be_opened_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(tmp_path, "a.png", "closed/b.png")

    def scandir(folder: Path) -> object:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return os_scandir(folder)

    os_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    assert list_folder(tmp_path).unreadable_folders == (tmp_path / "closed",)
    assert found(tmp_path) == ["a.png"] and "closed" in caplog.text


def test_a_folder_that_does_not_exist_holds_no_images(tmp_path: Path) -> None:
    listing = list_folder(tmp_path / "gone")
    assert (listing.images, listing.unreadable_folders) == ((), (tmp_path / "gone",))


@posix
def test_special_files_in_a_folder_are_left_out(special_files: Path) -> None:
    assert found(special_files) == []
    assert list_folder(special_files).left_out == {SPECIAL: 4}


@posix
@pytest.mark.parametrize("name", ["pipe.png", "link.png", "zero.png", "socket.png"])
def test_a_special_file_is_refused_without_waiting(special_files: Path, name: str) -> None:
    problem = load_image(special_files / name).problem
    assert problem is not None and str(problem) == "The file cannot be read: it is not a regular file."


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_a_file_that_has_more_bytes_than_its_size_says_is_read_within_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert b"Pid" in read_bytes("/proc/self/status")
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert problem_code("/proc/self/status") == "too_many_bytes"


@posix
def test_names_that_are_not_utf_8_can_be_shown_and_opened(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/Mu\xf1oz.png", "wb") as file:
        file.write(encode(patchwork(1)))
    (path,) = find_images(tmp_path)
    loaded = load_image(path)
    assert (loaded.name, loaded.error) == ("Mu\ufffdoz.png", None)
    assert default_name(path) == "Mu\ufffdoz.png"


def test_image_suffixes_are_known_in_any_case() -> None:
    assert has_image_suffix("X.HEIC")
    assert not has_image_suffix("x.svg")


def test_bytes_and_files_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    assert read_bytes(path) == read_bytes(str(path)) == read_bytes(b"content") == b"content"


def test_files_over_the_limit_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    problem = load_image(huge).problem
    assert problem is not None
    assert (problem.code, problem.size, problem.limit) == ("too_many_bytes", MAX_BYTES + 1, MAX_BYTES)


@pytest.mark.parametrize("start", [b"II*\0", b"FUJIFILMCCD-RAW "])
def test_camera_raw_may_be_larger(tmp_path: Path, start: bytes) -> None:
    for size, expected in ((MAX_BYTES + 1, None), (MAX_RAW_BYTES + 1, "too_many_bytes")):
        path = tmp_path / f"{size}"
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)
        if expected:
            assert problem_code(path) == expected
        else:
            assert len(read_bytes(path)) == size


def test_missing_files_folders_and_impossible_names_have_their_reasons(tmp_path: Path) -> None:
    assert problem_code(tmp_path / "none.png") == "not_found"
    assert str(load_image(tmp_path).problem) == "The file cannot be read: it is a folder."
    assert problem_code(tmp_path / ("x" * 300)) == "unreadable"
    assert problem_code("a\0b.png") in ("unreadable", "not_found")


def test_an_empty_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert problem_code(tmp_path / "empty.png") == problem_code(b"") == "empty"


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encode(patchwork(4), "WEBP"))
    assert load_image(path).error is None
    assert load_image(path).content_hash == load_image(path.read_bytes()).content_hash
