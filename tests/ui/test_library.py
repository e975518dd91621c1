"""The images to rank: read in the background, in natural order, each content once."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event

import pytest

from lychee_rerank.images.load import preview
from lychee_rerank.rankings.archive import open_archive
from lychee_rerank.ui import library as library_module
from lychee_rerank.ui.library import Library
from support.app_test import red


def filled(*sources: tuple[str, bytes | Path]) -> Library:
    library = Library(open_archive())
    library.add(sources)
    wait_until_read(library)
    return library


def wait_until_read(library: Library) -> None:
    for _ in range(1000):
        if not library.waiting:
            return
        time.sleep(0.01)
    pytest.fail("the library never finished reading")


def names(library: Library) -> list[str]:
    return [image.name for image in library.images()]


def test_images_stand_in_natural_order_of_their_names() -> None:
    assert names(filled(("b10.png", red(1)), ("B9.png", red(2)), ("a.png", red(3)))) == ["a.png", "B9.png", "b10.png"]


def test_the_same_content_is_kept_once_under_either_name() -> None:
    library = filled(("a.png", red(7)), ("b.png", red(7)))
    assert sorted([*names(library), *library.duplicates]) == ["a.png", "b.png"]


def test_an_image_has_a_thumbnail_its_dimensions_and_its_file_size() -> None:
    image = filled(("a.png", red(7))).images()[0].preview
    assert (image.original_size, image.file_size, image.problem) == ((60, 40), len(red(7)), None)
    assert image.thumbnail


def test_a_file_stays_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(red(7))
    assert filled(("a.png", file)).images()[0].source == file


def test_unreadable_files_are_kept_with_their_problem_and_apart_from_each_other(tmp_path: Path) -> None:
    library = filled(("a.png", tmp_path / "a.png"), ("b.png", tmp_path / "b.png"), ("c.png", b"text"))
    problems = [image.preview.problem for image in library.images()]
    assert [problem.code for problem in problems if problem] == ["not_found", "not_found", "not_an_image"]
    assert all(image.key.isalnum() for image in library.images())  # part of CSS class names


def test_unreadable_files_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    assert names(filled(("a.png", tmp_path / "1" / "a.png"), ("a.png", tmp_path / "2" / "a.png"))) == ["a.png", "a.png"]


def test_bytes_without_an_image_are_not_kept_but_their_problem_is() -> None:
    video, image = filled(("clip.MOV", b"\0\0\0\x14ftypqt  " + bytes(1000)), ("x.png", red(1))).images()
    assert (video.source, video.preview.file_size) == (b"", 1012)
    assert video.problem is not None and video.problem == video.preview.problem
    assert (image.source.read_bytes(), image.problem) == (red(1), None)


def test_an_error_in_a_thread_ends_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: bytes) -> object:
        raise RuntimeError("boom")

    monkeypatch.setattr(library_module, "preview", fail)
    (image,) = filled(("a.png", red(1))).images()
    assert image.preview.problem is not None and image.preview.problem.detail == "boom"
    assert image.source.read_bytes() == red(1)  # scoring may still read it


def test_names_that_cannot_be_encoded_are_kept_apart_and_can_be_shown() -> None:
    library = filled(("a\udcf1.png", b""), ("a\udcf2.png", b""), ("b\ud83d\n.png", red(1)))
    assert names(library) == ["a\ufffd.png", "a\ufffd.png", "b\ufffd\ufffd.png"]


def test_a_removed_image_is_gone() -> None:
    library = filled(("a.png", red(1)), ("b.png", red(2)))
    library.remove(library.images()[0].key)
    assert names(library) == ["b.png"]


def test_clear_also_drops_what_is_still_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, cleared = Event(), Event()

    def slow_preview(source: bytes) -> object:
        reading.set()
        cleared.wait(10)
        return preview(source)

    monkeypatch.setattr(library_module, "preview", slow_preview)
    library = Library(open_archive())
    library.add([("a.png", red(1))])
    reading.wait(10)
    library.clear()
    cleared.set()
    library._pool.shutdown()
    assert (names(library), library.waiting) == ([], 0)


def test_a_new_start_finds_files_and_dropped_bytes_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.png"
    file.write_bytes(red(7))
    before = filled(("a.png", red(1)), ("b.png", file)).images()
    monkeypatch.setattr(library_module, "preview", lambda source: pytest.fail("read"))
    after = filled().images()
    assert [(image.name, image.key, image.source) for image in after] == [
        (image.name, image.key, image.source) for image in before
    ]
    assert [image.preview.thumbnail for image in after] == [image.preview.thumbnail for image in before]


def test_a_file_that_changed_before_a_new_start_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "b.png"
    file.write_bytes(red(7))
    (before,) = filled(("b.png", file)).images()
    file.write_bytes(red(250))
    for _ in range(2):
        (after,) = filled().images()
        assert after.key != before.key
        assert after.preview.thumbnail != before.preview.thumbnail


def test_a_file_that_vanished_before_a_new_start_is_said_until_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "b.png"
    file.write_bytes(red(7))
    filled(("b.png", file))
    file.unlink()
    for _ in range(2):
        (image,) = filled().images()
        assert image.preview.problem is not None and image.preview.problem.code == "not_found"
    file.write_bytes(red(7))
    (image,) = filled().images()
    assert (image.name, image.preview.problem) == ("b.png", None)


def test_what_was_removed_is_not_there_after_a_new_start() -> None:
    library = filled(("a.png", red(1)), ("b.png", red(2)), ("c.txt", b"text"))
    library.remove(library.images()[0].key)
    assert names(filled()) == ["b.png", "c.txt"]
    library.clear()
    assert names(filled()) == []


def test_an_archive_that_fails_ends_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise RuntimeError("boom")

    monkeypatch.setattr("lychee_rerank.rankings.archive.Archive.add_image", fail)
    (image,) = filled(("a.png", red(1))).images()
    assert image.source == red(1)


def test_files_that_were_not_read_before_the_end_are_read_after_a_new_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(red(number))
    with monkeypatch.context() as patch:
        patch.setattr("lychee_rerank.ui.library.ThreadPoolExecutor.submit", lambda *_: None)  # the process is killed
        Library(open_archive()).add((file.name, file) for file in tmp_path.iterdir())
    for _ in range(2):
        images = filled().images()
        assert [image.name for image in images] == ["0.png", "1.png", "2.png"]
        assert all(image.preview.thumbnail for image in images)


def test_what_was_cleared_before_it_was_read_is_not_there_after_a_new_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(red(1))
    with monkeypatch.context() as patch:
        patch.setattr("lychee_rerank.ui.library.ThreadPoolExecutor.submit", lambda *_: None)
        library = Library(open_archive())
        library.add([("a.png", tmp_path / "a.png")])
        library.clear()
    assert names(filled()) == []


def test_a_file_that_is_added_again_replaces_what_could_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    library = filled(("a.png", file))
    file.write_bytes(red(1))
    library.add([("a.png", file)])
    wait_until_read(library)
    for images in (library.images(), filled().images()):
        assert [image.preview.problem for image in images] == [None]


def test_what_could_not_be_kept_is_kept_when_that_is_possible_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("lychee_rerank.rankings.database.Database.write", lambda *_: False)  # the disk is full
        library = filled(("a.png", red(1)))
        assert library.images()[0].source == red(1)
    library.keep_rest()
    library._pool.shutdown()
    assert names(filled()) == ["a.png"]
