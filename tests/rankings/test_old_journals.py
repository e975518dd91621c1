"""Journals of earlier versions: read once, then left alone. `recorded_journal` was written by the version before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer

from lychee_rerank.images.files import content_hash
from lychee_rerank.rankings import old_journals
from lychee_rerank.rankings.old_journals import all_journals, journal_folders, old_journal_folder
from lychee_rerank.rankings.store import open_store
from lychee_rerank.results import ImageScore
from lychee_rerank.text.score_parser import ParsedScore

(RECORDED,) = (Path(__file__).parent / "recorded_journal").glob("*.jsonl")
SETTINGS: dict[str, object] = {
    "prompt": "the prompt",
    "method": "generate",
    "fit": "crop",
    "weights": "the weights",
    "preparation": 2,
    "parser": 1,
}
FIRST, SECOND, TIFF, FAILED = map(content_hash, (b"first", b"second", b"third", b"fourth"))
FIRST_SCORE = ImageScore(
    index=0,
    name="",
    score=8.6,
    method="generate",
    answer="得分：8.6分。",
    parsed=ParsedScore(8.6, "primary", (3, 6), "score at the start"),
    seconds=0.25,
    notes=("exif_rotated",),
    token_ids=(5, 6, 7),
    finished=False,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recorded journal and its lock, as the version before left them."""
    shutil.copy(RECORDED, tmp_path)
    (tmp_path / RECORDED.name).with_suffix(".lock").touch()
    return tmp_path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The journals that were read."""
    paths: list[Path] = []
    read_journal = old_journals.read_journal
    monkeypatch.setattr(
        "lychee_rerank.rankings.store.read_journal",
        lambda path, convert: paths.append(path) or read_journal(path, convert),
    )
    return paths


def test_its_scores_are_used_and_it_is_left_as_it_is(folder: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    with open_store(folder) as store:
        scores = store.scores(SETTINGS)
        assert scores.get(FIRST) == FIRST_SCORE
        second = scores.get(SECOND)
        assert second and (second.score, second.parsed) == (0.0, ParsedScore(0.0, "default", None))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_images_of_kinds_that_are_prepared_differently_now_and_failures_are_scored_anew(folder: Path) -> None:
    with open_store(folder) as store:
        scores = store.scores(SETTINGS)
        assert (scores.get(TIFF), scores.get(FAILED)) == (None, None)


def test_a_journal_is_read_once(folder: Path, reads: list[Path]) -> None:
    for _ in range(3):
        with open_store(folder) as store:
            assert store.scores(SETTINGS).get(FIRST) == FIRST_SCORE
    assert reads == [folder / RECORDED.name]


def test_other_settings_have_another_journal(folder: Path, reads: list[Path]) -> None:
    with open_store(folder) as store:
        for name in ("prompt", "method", "fit", "weights"):
            assert store.scores(SETTINGS | {name: "another"}).get(FIRST) is None
    assert reads == []


def test_what_was_deleted_does_not_come_back(folder: Path, reads: list[Path]) -> None:
    with open_store(folder) as store:
        store.clear()  # before the journal was ever read
        assert store.scores(SETTINGS).get(FIRST) is None
    assert reads == []


def test_a_file_of_a_persons_own_is_no_journal(folder: Path) -> None:
    (folder / "results.jsonl").write_text("mine")
    assert [path.name for path in all_journals([folder, folder / "missing"])] == [RECORDED.name]


def test_a_fresh_start_does_not_bring_old_scores_back(folder: Path) -> None:
    for fresh in (True, False):
        with open_store(folder) as store:
            assert store.scores(SETTINGS, fresh=fresh).get(FIRST) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"picture": "b"}',
        b'{"picture": "b", "result": {"score": 5}}',
        b'{"picture": "b", "result": {"name": "b.png", "problem": null, "score": 11}}',
        b"5",
        b"null",
        b"[]",
        b"\x00\x00{garbage",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"picture": "b", "resu',
    ],
)
def test_a_damaged_line_costs_only_itself(folder: Path, caplog: pytest.LogCaptureFixture, line: bytes) -> None:
    journal = folder / RECORDED.name
    about, first, *others = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(about + line + b"\n" + first + line + b"\n" + b"".join(others)[:-9])
    with open_store(folder) as store:
        scores = store.scores(SETTINGS)
        assert scores.get(FIRST) == FIRST_SCORE and scores.get(SECOND) and scores.get("b") is None
    (record,) = caplog.records
    message = f"Damaged lines in {journal.name} are left out, and their pictures scored again: 3."
    assert record.getMessage() == message


def test_a_journal_that_cannot_be_read_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with open_store(folder) as store:
        monkeypatch.setattr(Path, "open", refuse)
        assert store.scores(SETTINGS).get(FIRST) is None
    assert "Permission denied" in caplog.text


def test_journals_lie_in_the_folder_of_the_store_in_that_of_the_environment_and_in_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journal_folders(None) == (old_journal_folder(),)
    monkeypatch.setenv("LYCHEE_JOURNAL", str(tmp_path / "named"))
    assert journal_folders(tmp_path) == (tmp_path, tmp_path / "named", old_journal_folder())
    assert journal_folders(tmp_path / "named") == (tmp_path / "named", old_journal_folder())


def test_the_default_folder_is_that_of_the_version_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_journals, "get_app_dir", typer.get_app_dir)
    assert old_journal_folder() == Path(typer.get_app_dir("lychee-rerank")) / "journal"


@pytest.mark.parametrize("where", ["environment", "default"])
def test_journals_elsewhere_are_found(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "environment":
        monkeypatch.setenv("LYCHEE_JOURNAL", str(folder))
    else:
        monkeypatch.setattr(old_journals, "old_journal_folder", lambda: folder)
    with open_store(tmp_path_factory.mktemp("elsewhere")) as store:
        assert store.scores(SETTINGS).get(FIRST) == FIRST_SCORE
