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
from lychee_rerank.images.load import MAX_BYTES
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

WRITTEN = ImageScore(
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
DEFAULTED = ImageScore(
    index=0, name="b.png", score=0.0, method="generate", parsed=ParsedScore(value=0.0, tier="default", span=None)
)
FAILED = ImageScore(
    index=0, name="c.png", score=0.0, method="yes_no", problem=PictureProblem("too_many_bytes", size=9, limit=8)
)


class Scorer:
    """Stands in for `Reranker.stream`: the score is the file's length; remembers what it was asked to score."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, paths: Iterable[str]) -> Iterator[ImageScore]:
        for index, path in enumerate(paths):
            self.asked.append(path)
            problem = None if Path(path).exists() else PictureProblem("not_found")
            score = 0.0 if problem else float(Path(path).stat().st_size)
            yield ImageScore(index=index, name=Path(path).name, score=score, method="yes_no", problem=problem)


def pictures_in(folder: Path, *contents: str) -> list[ImageFile]:
    pictures = []
    for index, content in enumerate(contents):
        path = folder / f"{index}.bin"
        path.write_text(content)
        pictures.append(ImageFile(index, str(path), hash_file(path)))
    return pictures


@pytest.mark.parametrize("result", [WRITTEN, DEFAULTED, FAILED], ids=["written", "defaulted", "failed"])
def test_a_kept_score_comes_back_exactly(tmp_path: Path, result: ImageScore) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", result)
        assert journal.get("k") == result
    with Journal(tmp_path / "j.jsonl") as journal:
        assert journal.get("k") == result


def test_a_kept_score_is_on_disk_before_the_journal_is_closed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", WRITTEN)
        assert json.loads((tmp_path / "j.jsonl").read_bytes().splitlines()[-1])["picture"] == "k"


def test_the_first_score_of_a_picture_stays(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("k", WRITTEN)
        journal.add("k", DEFAULTED)
        assert journal.get("k") == WRITTEN and len(journal) == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=1))
def test_a_journal_cut_anywhere_loses_only_what_was_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, about={"query": "猫"}) as journal:
        for key in "abc":
            journal.add(key, WRITTEN)
    content = path.read_bytes()[: -(cut % path.stat().st_size)]
    whole = max(content.count(b"\n") - 1, 0)
    path.write_bytes(content)
    with Journal(path) as journal:
        assert [key in journal for key in "abc"] == [n < whole for n in range(3)]
        journal.add("d", DEFAULTED)
    with Journal(path) as journal:
        assert journal.get("d") == DEFAULTED and len(journal) == whole + 1


def test_a_damaged_line_in_the_middle_costs_only_its_own_picture(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for key in "abc":
            journal.add(key, WRITTEN)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + b"\x00\x00{garbage\n" + b"[]\n" + lines[3])
    with Journal(path) as journal:
        assert [key in journal for key in "abc"] == [True, False, True]
        assert journal.get("c") == WRITTEN


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
def test_a_line_that_is_no_score_is_scored_again(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", WRITTEN)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with Journal(path) as journal:
        assert ("a" in journal, "b" in journal) == (True, False)
        journal.add("b", WRITTEN)
        assert journal.get("b") == WRITTEN


def test_damage_is_told_once_however_much_there_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        journal.add("a", WRITTEN)
        monkeypatch.setattr(journal, "_writer", Full(journal._writer))
        with pytest.raises(JournalError, match="No space left"):
            journal.add("b", WRITTEN)
        assert "b" not in journal and path.read_bytes().endswith(b"}\n")


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"), pytest.raises(JournalError, match="Another run"):
        Journal(tmp_path / "j.jsonl")
    Journal(tmp_path / "j.jsonl").close()


def test_what_was_scored_before_is_not_scored_again(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path, "aa", "b", "cccc", "ddd")
    scorer = Scorer()
    with Journal(tmp_path / "j.jsonl") as journal:
        run = score_missing(pictures, journal, scorer)
        next(run), next(run)
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(pictures, journal, scorer))
    assert [result.score for result in results] == [2.0, 1.0, 4.0, 3.0]
    assert [(result.index, result.name) for result in results] == [(p.index, p.path) for p in pictures]
    assert sorted(scorer.asked) == sorted(picture.path for picture in pictures)


def test_equal_pictures_are_scored_once_and_both_listed(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path, "same", "other", "same")
    scorer = Scorer()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(pictures, journal, scorer))
    assert [result.score for result in results] == [4.0, 5.0, 4.0]
    assert len(scorer.asked) == 2


def test_a_renamed_picture_is_found_again(tmp_path: Path) -> None:
    (picture,) = pictures_in(tmp_path, "aa")
    moved = Path(picture.path).rename(tmp_path / "moved.bin")
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add(picture.key or "", WRITTEN)
        (result,) = score_missing([ImageFile(7, str(moved), hash_file(moved))], journal, Scorer())
    assert (result.index, result.name, result.score) == (7, str(moved), 8.6)


def test_pictures_that_fail_are_told_each_time_and_tried_again_next_time(tmp_path: Path) -> None:
    missing = tmp_path / "gone.jpg"
    pictures = [ImageFile(n, str(missing), hash_file(missing)) for n in range(2)]
    scorer = Scorer()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(pictures, journal, scorer)) + list(score_missing(pictures, journal, scorer))
        assert len(journal) == 0
    assert [result.error for result in results] == ["There is no such file."] * 4
    assert len(scorer.asked) == 4


def test_equal_pictures_that_fail_are_both_told(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path, "same", "same")
    Path(pictures[0].path).unlink()
    with Journal(tmp_path / "j.jsonl") as journal:
        results = list(score_missing(pictures, journal, Scorer()))
    assert [result.problem is not None for result in results] == [True, True]
    assert results[1].name == pictures[1].path


def test_journals_differ_by_every_setting_and_not_by_their_order(tmp_path: Path) -> None:
    assert journal_path(tmp_path, a="1", b="2") == journal_path(tmp_path, b="2", a="1")
    different = {journal_path(tmp_path, a=a, b=b) for a, b in [("1", "2"), ("12", ""), ("", "12"), ("2", "1")]}
    assert len(different) == 4


def test_checkpoints_are_told_apart_by_content_and_not_by_place(tmp_path: Path) -> None:
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
