"""The images to rank: read in the background, in natural order, each content once."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event

import pytest

from lychee_rerank.images.load import preview
from lychee_rerank.ui import library as library_module
from lychee_rerank.ui.library import Library
from support.app_test import red


def filled(*sources: tuple[str, bytes | Path]) -> Library:
    library = Library()
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
    library = Library()
    library.add([("a.png", red(1))])
    reading.wait(10)
    library.clear()
    cleared.set()
    library._pool.shutdown()
    assert (names(library), library.waiting) == ([], 0)
