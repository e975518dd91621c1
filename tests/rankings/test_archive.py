"""What the page finds again: settings, the library, the last rankings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lychee_rerank.errors import PictureProblem
from lychee_rerank.rankings.archive import MAX_RANKINGS, Archive, LibraryImage, open_archive
from lychee_rerank.text.query import Query, normalize_query
from support.app_test import red
from support.library_images import library_image, red_images

QUERY = normalize_query("红色，Cat!")
SETTINGS = {"prompt": "p", "method": "yes_no", "fit": "crop", "weights": "w"}


@pytest.fixture
def archive() -> Archive:
    return open_archive()


def ids(archive: Archive) -> list[str]:
    return [facts.id for facts in archive.rankings()]


def copies(archive: Archive) -> list[str]:
    assert archive.folder
    folder = archive.folder / "dropped"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_settings_are_found_again_and_damaged_ones_are_none(archive: Archive) -> None:
    assert archive.settings() == {}
    archive.save_settings({"fit": "whole", "reserve": 2.0})
    assert open_archive().settings() == {"fit": "whole", "reserve": 2.0}
    for text in ("{", "[1]"):
        archive.database.write("UPDATE page SET value = ?", [(text,)])
        assert archive.settings() == {}


def test_a_file_stays_where_it_is_and_its_thumbnail_is_found_again(archive: Archive, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"Mu\xf1oz.png")
    file.write_bytes(red(9))
    image = library_image("Mu�oz.png", file)
    archive.add_image(image, "stamp")
    ((found, stamp),) = open_archive().images()
    assert (found.key, found.name, found.source, stamp) == (image.key, image.name, file, "stamp")
    for name in ("thumbnail", "original_size", "file_size", "problem"):
        assert getattr(found.preview, name) == getattr(image.preview, name)
    assert copies(archive) == []


def test_dropped_bytes_become_a_file_that_is_found_again(archive: Archive) -> None:
    (image,) = red_images(9)
    kept = archive.add_image(image, "")
    assert isinstance(kept.source, Path) and kept.source.read_bytes() == red(9)
    ((found, _),) = open_archive().images()
    assert found.source == kept.source
    assert copies(archive) == [image.key]


def test_dropped_bytes_without_an_image_are_found_again_with_their_problem(archive: Archive) -> None:
    image = library_image("a.mov", b"no image")
    archive.add_image(replace(image, source=b"", problem=image.preview.problem), "")
    ((found, _),) = open_archive().images()
    assert found.problem == image.preview.problem
    assert (found.source, found.preview.thumbnail, copies(archive)) == (b"", None, [])


def test_beyond_the_budget_bytes_stay_in_memory_and_are_gone_after_a_restart(archive: Archive) -> None:
    assert archive.dropped
    archive.dropped._budget = len(red(9))
    first, second = (archive.add_image(image, "") for image in red_images(9, 200))
    assert isinstance(first.source, Path) and second.source == red(200)
    assert second.preview.thumbnail
    assert [image.name for image, _ in open_archive().images()] == ["9.png"]


def test_an_image_whose_thumbnail_was_not_written_any_more_is_to_be_read_again(archive: Archive) -> None:
    archive.add_image(red_images(9)[0], "stamp")
    archive.database.write("DELETE FROM previews")
    ((_, stamp),) = open_archive().images()
    assert stamp == ""


def test_where_nothing_can_be_kept_images_stay_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    archive = open_archive(tmp_path / "file")
    (image,) = red_images(9)
    assert archive.database.problem
    kept = archive.add_image(image, "")
    assert (kept.source, kept.preview.thumbnail) == (red(9), image.preview.thumbnail)


def test_a_folder_that_can_only_be_read_gives_what_was_kept(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    first, second = red_images(9, 200)
    archive.add_ranking(QUERY, [archive.add_image(first, "")], 1.0)
    archive.save_settings({"fit": "whole"})
    monkeypatch.setattr("lychee_rerank.rankings.database.open_for_writing", fail)
    again = open_archive()
    assert "Permission denied" in again.database.problem
    assert [image.preview.thumbnail for image, _ in again.images()] == [first.preview.thumbnail]
    assert (again.settings(), len(again.rankings())) == ({"fit": "whole"}, 1)
    assert again.add_image(second, "") == second
    again.add_ranking(QUERY, [second], 2.0).end(1.0)
    assert len(again.rankings()) == 1


def test_the_last_rankings_are_found_again_with_their_images_oldest_first(archive: Archive) -> None:
    images = red_images(9, 200)
    kept = [archive.add_image(image, "") for image in images]
    for number in range(MAX_RANKINGS + 2):
        archive.add_ranking(Query(f"{number}", "x", ("x",), ("en",)), kept, float(-number))  # clocks jump
    facts = open_archive().rankings()
    assert [ranking.query.text for ranking in facts] == [str(number) for number in range(2, MAX_RANKINGS + 2)]
    assert facts[0].query.units == ("x",)
    assert [saved.image for saved in archive.ranking_images(facts[0].id)] == kept
    assert not archive.ranking_images(ids(archive)[0] + "x")


def test_a_record_keeps_model_prompt_time_and_what_could_not_be_scored(archive: Archive) -> None:
    record = archive.add_ranking(QUERY, red_images(9, 200), 1.5)
    record.start("model", "prompt", archive.store.scores(SETTINGS).digest)
    record.add_exception(1, "other", PictureProblem("unreadable", detail="x\udcf1"))
    record.end(3.5)
    (facts,) = open_archive().rankings()
    assert (facts.query, facts.started, facts.model, facts.prompt, facts.seconds) == (
        QUERY,
        1.5,
        "model",
        "prompt",
        3.5,
    )
    assert archive.score_settings(facts.settings) == SETTINGS
    first, second = archive.ranking_images(record.id)
    assert (first.scored, first.problem) == (first.image.key, None)
    assert (second.scored, second.problem) == ("other", PictureProblem("unreadable", detail="x\udcf1"))


def test_rankings_whose_scores_were_deleted_are_not_shown_again(archive: Archive) -> None:
    record = archive.add_ranking(QUERY, red_images(9), 1.5)
    record.start("model", "prompt", archive.store.scores(SETTINGS).digest)
    assert ids(archive) == [record.id]
    archive.store.clear()
    assert ids(archive) == []


def test_a_removed_image_leaves_copy_and_thumbnail_to_the_rankings_that_show_it(archive: Archive) -> None:
    ranked, other = (archive.add_image(image, "") for image in red_images(9, 200))
    record = archive.add_ranking(QUERY, [ranked], 1.0)
    archive.clear([ranked.key, other.key], [])
    assert archive.images() == []
    assert copies(archive) == [ranked.key]
    assert ranked.preview.thumbnail and not other.preview.thumbnail
    archive.clear([], [record.id])
    assert copies(archive) == [] and not ranked.preview.thumbnail


def test_a_ranking_of_pictures_that_were_not_kept_has_their_thumbnails(archive: Archive) -> None:
    assert archive.dropped
    archive.dropped._budget = 0
    record = archive.add_ranking(QUERY, [archive.add_image(image, "") for image in red_images(9)], 1.0)
    (saved,) = open_archive().ranking_images(record.id)
    assert (saved.image.source, saved.image.problem) == (b"", None)
    assert saved.image.preview.thumbnail


def test_each_of_two_processes_deletes_only_what_it_knows(archive: Archive) -> None:
    def fill(archive: Archive, amount: int) -> tuple[LibraryImage, str]:
        image = archive.add_image(red_images(amount)[0], "")
        return image, archive.add_ranking(QUERY, [image], float(amount)).id

    other = open_archive()
    (image, ranking), (other_image, other_ranking) = fill(archive, 9), fill(other, 200)
    archive.clear([image.key], [ranking])
    assert ids(archive) == [other_ranking]
    assert copies(archive) == [other_image.key] and other_image.preview.thumbnail


def test_everything_can_be_deleted_and_the_archive_used_again(archive: Archive) -> None:
    archive.save_settings({"fit": "whole"})
    image = archive.add_image(red_images(9)[0], "")
    archive.add_ranking(QUERY, [image], 1.0)
    archive.store.scores(SETTINGS)
    archive.delete_all()
    assert (archive.settings(), archive.images(), ids(archive), archive.store.count(), copies(archive)) == (
        {}, [], [], 0, [],
    )  # fmt: skip
    archive.add_image(red_images(9)[0], "")
    assert len(archive.images()) == 1


def test_the_size_counts_the_database_and_the_copies(archive: Archive) -> None:
    before = archive.size()
    archive.add_image(library_image("a.png", red(9)), "")
    assert archive.size() >= before + len(red(9)) > len(red(9))
