"""Marks: what is kept, what is rejected, and how long that is remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lychee_rerank.rankings.archive import Archive, open_archive
from lychee_rerank.rankings.marks import Marks
from lychee_rerank.text.query import normalize_query
from support.library_images import red_images


@pytest.fixture
def archive() -> Archive:
    return open_archive()


def test_a_mark_is_set_changed_and_taken_away(archive: Archive) -> None:
    marks = Marks(archive.database)
    assert marks.get("a") is None
    marks.set("a", "kept")
    assert (marks.get("a"), marks.get("b")) == ("kept", None)
    marks.set("a", "rejected")
    assert marks.get("a") == "rejected"
    marks.set("a", None)
    assert marks.get("a") is None


def test_marks_are_there_again_after_a_restart(archive: Archive) -> None:
    marks = Marks(archive.database)
    for key, mark in (("a", "kept"), ("b", "rejected"), ("c", "kept"), ("c", None)):
        marks.set(key, mark)
    again = Marks(open_archive().database)
    assert [again.get(key) for key in "abc"] == ["kept", "rejected", None]


def test_marks_outlast_a_disk_that_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    marks = Marks(open_archive(tmp_path / "file").database)
    marks.set("a", "kept")
    assert marks.get("a") == "kept"


def test_clear_takes_all_marks_away(archive: Archive) -> None:
    marks = Marks(archive.database)
    marks.set("a", "kept")
    marks.clear()
    assert (marks.get("a"), Marks(open_archive().database).get("a")) == (None, None)


def test_the_mark_of_an_image_stays_as_long_as_the_library_or_a_ranking_has_it(archive: Archive) -> None:
    images = red_images(1, 2, 3)
    marks = Marks(archive.database)
    for image in images:
        archive.add_image(image, "")
        marks.set(image.key, "kept")
    archive.add_ranking(normalize_query("红色"), images[:2], time.time())
    archive.clear([images[0].key, images[2].key], ())
    again = Marks(open_archive().database)
    assert [again.get(image.key) for image in images] == ["kept", "kept", None]


def test_deleting_everything_deletes_the_marks(archive: Archive) -> None:
    (image,) = red_images(1)
    archive.add_image(image, "")
    Marks(archive.database).set(image.key, "kept")
    archive.delete_all()
    assert Marks(open_archive().database).get(image.key) is None
