"""Scores kept on disk, and scoring only what is missing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lychee_rerank.errors import JournalError, PictureProblem
from lychee_rerank.images.files import MAX_BYTES
from lychee_rerank.rankings.store import (
    ImageFile,
    Journal,
    fingerprint,
    hash_file,
    journal_path,
    prune,
    score_missing,
)
from lychee_rerank.results import ImageScore
from lychee_rerank.text.score_parser import ParsedScore

GENERATED = ImageScore(
    index=3,
    name="白 猫.jpg",
    score=8.6,
    method="generate",
    answer="得分：8.6分。",
    parsed=ParsedScore(value=8.6, tier="primary", span=(3, 6)),
    seconds=0.25,
    notes=("exif_rotated",),
    token_ids=(5, 6, 7),
    finished=False,
)
UNPARSED = ImageScore(
    index=0, name="b.png", score=0.0, method="generate", parsed=ParsedScore(value=0.0, tier="default", span=None)
)
FAILED = ImageScore(
    index=0, name="c.png", score=0.0, method="yes_no", problem=PictureProblem("too_many_bytes", size=9, limit=8)
)


class FakeStream:
    """In place of `Reranker.stream`: the score is the file's length; remembers the paths it was given."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, paths: Iterable[str]) -> Iterator[ImageScore]:
        for index, path in enumerate(paths):
            self.paths.append(path)
            problem = None if Path(path).exists() else PictureProblem("not_found")
            score = 0.0 if problem else float(Path(path).stat().st_size)
            yield ImageScore(index=index, name=Path(path).name, score=score, method="yes_no", problem=problem)


def write_files(folder: Path, *contents: str) -> list[ImageFile]:
    files = []
    for index, content in enumerate(contents):
        path = folder / f"{index}.bin"
        path.write_text(content)
        files.append(ImageFile(index, str(path), hash_file(path)))
    return files


def count_scores(journal: Path) -> int:
    return journal.read_bytes().count(b'"picture"')


@pytest.mark.parametrize("result", [GENERATED, UNPARSED, FAILED], ids=["generated", "unparsed", "failed"])
def test_a_score_comes_back_exactly_as_it_was_added(tmp_path: Path, result: ImageScore) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", result)
        assert journal.get("k") == result
    with Journal(tmp_path / "j.jsonl") as journal:
        assert journal.get("k") == result


def test_a_score_is_on_disk_before_the_journal_is_closed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", GENERATED)
        assert json.loads((tmp_path / "j.jsonl").read_bytes().splitlines()[-1])["picture"] == "k"


def test_an_image_keeps_its_first_score(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", GENERATED)
        journal.add("k", UNPARSED)
        assert journal.get("k") == GENERATED and count_scores(tmp_path / "j.jsonl") == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=1))
def test_a_journal_cut_anywhere_loses_only_what_was_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, about={"query": "猫"}) as journal:
        for key in "abc":
            journal.add(key, GENERATED)
    content = path.read_bytes()[: -(cut % path.stat().st_size)]
    whole = max(content.count(b"\n") - 1, 0)
    path.write_bytes(content)
    with Journal(path) as journal:
        assert [key in journal for key in "abc"] == [n < whole for n in range(3)]
        journal.add("d", UNPARSED)
    with Journal(path) as journal:
        assert journal.get("d") == UNPARSED and count_scores(path) == whole + 1


def test_a_damaged_line_in_the_middle_costs_only_its_own_score(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for key in "abc":
            journal.add(key, GENERATED)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + b"\x00\x00{garbage\n" + b"[]\n" + lines[3])
    with Journal(path) as journal:
        assert [key in journal for key in "abc"] == [True, False, True]
        assert journal.get("c") == GENERATED


@pytest.mark.parametrize(
    "line",
    [
        b'{"picture": "b"}',
        b'{"picture": "b", "result": {"score": 5}}',
        b"5",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_image_whose_line_holds_no_score_is_scored_again(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", GENERATED)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with Journal(path) as journal:
        assert ("a" in journal, "b" in journal) == (True, False)
        journal.add("b", GENERATED)
        assert journal.get("b") == GENERATED


def test_damage_is_reported_once_however_much_there_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "j.jsonl").write_bytes(b"garbage\n" * 1000)
    Journal(tmp_path / "j.jsonl").close()
    assert [record.getMessage() for record in caplog.records] == [
        "Damaged lines in the journal are left out, and their pictures scored again: 1000."
    ]


def test_a_journal_that_cannot_be_opened_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"Scores cannot be kept in .*file \(see --journal\): "):
        Journal(tmp_path / "file" / "j.jsonl")


def test_a_full_disk_ends_the_run_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """The file, on a disk that takes ten more bytes."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, line: bytes) -> int:
            return int(self._file.write(line[:10]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", GENERATED)
        monkeypatch.setattr(journal, "_writer", Full(journal._writer))
        with pytest.raises(JournalError, match="No space left"):
            journal.add("b", GENERATED)
        assert "b" not in journal and path.read_bytes().endswith(b"}\n")


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"), pytest.raises(JournalError, match="Another run"):
        Journal(tmp_path / "j.jsonl")
    Journal(tmp_path / "j.jsonl").close()


def test_images_with_a_score_are_not_scored_again(tmp_path: Path) -> None:
    files = write_files(tmp_path, "aa", "b", "cccc", "ddd")
    stream = FakeStream()
    with Journal(tmp_path / "j.jsonl") as journal:
        run = score_missing(files, journal, stream)
        next(run), next(run)
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(files, journal, stream))
    assert [result.score for result in results] == [2.0, 1.0, 4.0, 3.0]
    assert [(result.index, result.name) for result in results] == [(p.index, p.path) for p in files]
    assert sorted(stream.paths) == sorted(file.path for file in files)


def test_equal_images_are_scored_once_and_both_listed(tmp_path: Path) -> None:
    files = write_files(tmp_path, "same", "other", "same")
    stream = FakeStream()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(files, journal, stream))
    assert [result.score for result in results] == [4.0, 5.0, 4.0]
    assert len(stream.paths) == 2


def test_a_renamed_image_keeps_its_score(tmp_path: Path) -> None:
    (file,) = write_files(tmp_path, "aa")
    moved = Path(file.path).rename(tmp_path / "moved.bin")
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add(file.key or "", GENERATED)
        (result,) = score_missing([ImageFile(7, str(moved), hash_file(moved))], journal, FakeStream())
    assert (result.index, result.name, result.score) == (7, str(moved), 8.6)


def test_images_that_fail_are_reported_each_time_and_tried_again_next_time(tmp_path: Path) -> None:
    missing = tmp_path / "gone.jpg"
    files = [ImageFile(n, str(missing), hash_file(missing)) for n in range(2)]
    stream = FakeStream()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(files, journal, stream)) + list(score_missing(files, journal, stream))
        assert count_scores(tmp_path / "j.jsonl") == 0
    assert [result.error for result in results] == ["There is no such file."] * 4
    assert len(stream.paths) == 4


def test_equal_images_that_fail_are_both_reported(tmp_path: Path) -> None:
    files = write_files(tmp_path, "same", "same")
    Path(files[0].path).unlink()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(files, journal, FakeStream()))
    assert [result.problem is not None for result in results] == [True, True]
    assert results[1].name == files[1].path


def test_journals_differ_by_every_setting_and_not_by_their_order(tmp_path: Path) -> None:
    assert journal_path(tmp_path, a="1", b="2") == journal_path(tmp_path, b="2", a="1")
    different = {journal_path(tmp_path, a=a, b=b) for a, b in [("1", "2"), ("12", ""), ("", "12"), ("2", "1")]}
    assert len(different) == 4


def test_checkpoints_differ_by_content_and_not_by_folder(tmp_path: Path) -> None:
    for name in ("one", "copy", "retrained", "reconfigured"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(bytes(3_000_000))
    with (tmp_path / "retrained" / "model.safetensors").open("r+b") as file:
        file.write(b"\x01")
    (tmp_path / "reconfigured" / "config.json").write_text('{"a": 1}')
    one, copy, *others = (fingerprint(tmp_path / n) for n in ("one", "copy", "retrained", "reconfigured"))
    assert one == copy and len({one, *others}) == 3


def test_only_journals_long_unused_are_deleted(tmp_path: Path) -> None:
    old, new = (journal_path(tmp_path, query=query) for query in ("old", "new"))
    mine = tmp_path / "my results.jsonl"
    for path, days in ((old, 31), (new, 29), (mine, 400)):
        path.write_text("")
        then = time.time() - days * 86_400
        os.utime(path, (then, then))
    prune(tmp_path)
    assert set(tmp_path.iterdir()) == {new, mine}


def test_a_file_over_the_size_limit_is_not_read_through(tmp_path: Path) -> None:
    with (tmp_path / "huge.psd").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert hash_file(tmp_path / "huge.psd") is None
