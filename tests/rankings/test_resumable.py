"""Several queries over the same images; nothing is scored twice, and whatever happens to a file, it has its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.errors import ModelError
from lychee_rerank.images.files import EncodedImage, UnusableImageError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import YesNoOutput
from lychee_rerank.rankings import resumable
from lychee_rerank.rankings.resumable import NamedSource, ResumableRun
from lychee_rerank.rankings.store import ScoreStore, open_store
from lychee_rerank.results import ImageScore
from lychee_rerank.text.prompts import Messages
from lychee_rerank.text.query import normalize_query
from support.fake_cli import BrightnessBackend, brightness_reranker

BRIGHT = [normalize_query("bright")]


@pytest.fixture
def backend() -> BrightnessBackend:
    return BrightnessBackend()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScoreStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def start(backend: BrightnessBackend, store: ScoreStore) -> Callable[..., ResumableRun]:
    """Begins a run over paths with the names of the files."""

    def begin(paths: list[Path], *queries: str, fresh: bool = False) -> ResumableRun:
        images = [NamedSource(path.name, path) for path in paths]
        texts = [normalize_query(query) for query in queries] or BRIGHT
        return ResumableRun(brightness_reranker(backend), texts, images, store, fresh=fresh)

    return begin


Start = Callable[..., ResumableRun]


def write_images(folder: Path, *brightness: int) -> list[Path]:
    """Images of these brightnesses, each named by its position."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(len(brightness))]
    for path, value in zip(paths, brightness, strict=True):
        Image.new("L", (8, 8), value).save(path)
    return paths


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", *range(0, 240, 6))


def finish(run: ResumableRun) -> list[ImageScore]:
    """The ranking of a run's first query, after all of it."""
    for _ in run:
        pass
    return list(run.ranking(0))


def scores(results: list[ImageScore]) -> list[int | None]:
    return [None if result.problem else round(result.score * 25.5) for result in results]


def test_each_query_scores_a_batch_before_the_next_batch_begins(
    start: Start, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "_BATCH_MANY_QUERIES", 16)
    run = start(files, "bright", "dark")
    order = [(index, result.index) for index, result in run]
    assert order[:32] == [(0, number) for number in range(16)] + [(1, number) for number in range(16)]
    assert sorted(order) == [(index, number) for index in range(2) for number in range(40)]
    assert [result.index for result in run.ranking(0)] == list(reversed(range(40)))
    assert [result.index for result in run.ranking(1)] == list(range(40))


def test_an_interrupted_run_continues_where_it_stopped(
    start: Start, files: list[Path], backend: BrightnessBackend
) -> None:
    results = iter(start(files))
    for _ in range(10):
        next(results)
    results.close()  # type: ignore[attr-defined]
    run = start(files)
    assert len(list(run)) == len(list(run.ranking(0))) == 40
    assert sorted(backend.scored) == sorted(path.name for path in files)


def test_what_is_kept_is_neither_decoded_nor_scored(
    start: Start, files: list[Path], backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish(start(files))
    monkeypatch.setattr("lychee_rerank.images.prefetch.load_image", lambda *_, **__: pytest.fail("decoded"))
    assert finish(start(files)) == first and len(backend.scored) == 40


def test_everything_is_scored_again_on_request(start: Start, files: list[Path], backend: BrightnessBackend) -> None:
    finish(start(files))
    finish(start(files, fresh=True))
    assert len(backend.scored) == 80


def test_results_come_in_input_order_and_what_is_missing_goes_through_one_stream(
    start: Start, files: list[Path], backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(start(files[::2]))
    streams = []
    stream = resumable.Reranker.stream
    monkeypatch.setattr(
        resumable.Reranker, "stream", lambda self, *args, **kwargs: streams.append(1) or stream(self, *args, **kwargs)
    )
    assert [result.name for _, result in start(files)] == [path.name for path in files]
    assert len(streams) == 1 and backend.scored[20:] == [path.name for path in files[1::2]]


@pytest.mark.parametrize("queries", [["bright"], ["bright", "dark"]])
def test_the_first_result_comes_before_all_files_are_read(
    start: Start, files: list[Path], monkeypatch: pytest.MonkeyPatch, queries: list[str]
) -> None:
    read = []
    read_image = resumable.read_image
    monkeypatch.setattr(resumable, "read_image", lambda source: read.append(source) or read_image(source))
    results = iter(start(files, *queries))
    next(results)
    assert len(read) < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("queries", [["bright"], ["bright", "dark"]])
def test_equal_files_are_scored_once_and_all_listed(
    start: Start, tmp_path: Path, backend: BrightnessBackend, queries: list[str]
) -> None:
    paths = write_images(tmp_path / "equal", 9, 9, 200, 9, 200)
    run = start(paths, *queries)
    assert [result.index for index, result in run if index == 0] == [0, 1, 2, 3, 4]
    assert scores(list(run.ranking(0))) == [200, 200, 9, 9, 9]
    assert len(backend.scored) == 2 * len(queries)


def test_equal_files_in_different_batches_are_scored_once(
    start: Start, tmp_path: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "_BATCH_ONE_QUERY", 2)
    assert scores(finish(start(write_images(tmp_path / "equal", 9, 7, 9, 7, 7)))) == [9, 9, 7, 7, 7]
    assert len(backend.scored) == 2


def test_a_moved_and_renamed_file_keeps_its_score(start: Start, tmp_path: Path, backend: BrightnessBackend) -> None:
    paths = write_images(tmp_path / "images", 9, 200)
    finish(start(paths))
    (tmp_path / "elsewhere").mkdir()
    moved = [path.rename(tmp_path / "elsewhere" / f"moved {path.name}") for path in paths]
    assert [(result.name, result.index) for result in finish(start(moved))] == [("moved 1.png", 1), ("moved 0.png", 0)]
    assert len(backend.scored) == 2


def test_ties_keep_the_input_order_and_images_without_a_score_come_last(start: Start, tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 0, 0, 0, 50)
    (paths[1]).write_bytes(b"no picture")
    ranking = finish(start([paths[0], paths[1], tmp_path / "missing.png", paths[2], paths[3]]))
    assert [(result.rank, result.index) for result in ranking] == [(1, 4), (2, 0), (3, 3), (4, 1), (5, 2)]
    assert [result.problem and result.problem.code for result in ranking[3:]] == ["not_an_image", "not_found"]


def test_failures_are_reported_each_time_and_tried_again(
    start: Start, tmp_path: Path, backend: BrightnessBackend, store: ScoreStore
) -> None:
    paths = write_images(tmp_path / "images", 9, 9, 200)
    score = backend.score_yes_no

    def fail(messages: Messages, image: PreparedImage) -> YesNoOutput:
        backend.scored.append(image.name)
        raise ModelError("odd shape")

    backend.score_yes_no = fail  # type: ignore[method-assign]
    for _ in range(2):
        ranking = finish(start([*paths, tmp_path / "missing.png"]))
        assert [result.error for result in ranking] == ["The model failed on this picture: odd shape."] * 3 + [
            "There is no such file."
        ]
        assert store.count() == 0
    assert len(backend.scored) == 4  # equal files share a failure within a run
    backend.score_yes_no = score  # type: ignore[method-assign]
    assert scores(finish(start(paths))) == [200, 9, 9]


# Files that change ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_fails", [True, False])
def test_a_file_is_read_once_so_that_it_is_either_scored_or_not(
    start: Start, files: list[Path], monkeypatch: pytest.MonkeyPatch, first_fails: bool
) -> None:
    """On a network drive, where either the first reading of each file fails or every later one does."""
    were_read: set[Path] = set()
    read_image = resumable.read_image

    def read(source: Path) -> EncodedImage:
        is_first = source not in were_read
        were_read.add(source)
        if is_first == first_fails:
            raise UnusableImageError("unreadable", detail="the network name is no longer available")
        return read_image(source)

    monkeypatch.setattr(resumable, "read_image", read)
    ranking = finish(start(files))
    assert sorted(result.index for result in ranking) == list(range(40))
    assert {result.problem and result.problem.code for result in ranking} == {"unreadable" if first_fails else None}
    if first_fails:
        assert {result.problem for result in finish(start(files))} == {None}


@pytest.mark.parametrize("change", ["replaced", "removed", "damaged"])
def test_a_file_that_changes_after_it_was_read_keeps_the_score_of_what_was_read(
    start: Start, tmp_path: Path, change: str
) -> None:
    paths = write_images(tmp_path / "images", 10, 20, 30, 40)
    run = start(paths)
    for _, result in run:
        path = paths[result.index]
        if change == "removed":
            path.unlink()
        else:
            path.write_bytes(paths[3].read_bytes() if change == "replaced" else b"no picture")
    assert scores(list(run.ranking(0))) == [40, 30, 20, 10]


def test_a_ranking_comes_even_if_its_scores_are_deleted_while_the_run_goes_on(
    start: Start, files: list[Path], store: ScoreStore, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(files)
    for _, result in run:
        if result.index == 20:
            store.clear()
    ranking = list(run.ranking(0))
    assert [result.index for result in ranking] == list(reversed(range(40)))
    assert scores(ranking) == list(reversed(range(0, 240, 6)))
    assert [result.answer for result in ranking] == ["yes"] * 19 + [""] * 21
    assert ranking[-2].probability == ranking[-2].score / 10
    assert len(caplog.records) == 1 and "answers and notes are missing" in caplog.text


def test_a_ranking_is_whole_although_nothing_can_be_kept(
    start: Start,
    files: list[Path],
    store: ScoreStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(store.database, "write", lambda *_: False)
    ranking = finish(start(files))
    assert scores(ranking) == list(reversed(range(0, 240, 6))) and {result.answer for result in ranking} == {"yes"}
    assert not caplog.records


# Answers completed afterwards -----------------------------------------------------------------------------------------


def test_a_completed_answer_is_kept(start: Start, files: list[Path]) -> None:
    run = start(files)
    best = finish(run)[0]
    run.update(replace(best, answer="yes, it is bright"))
    assert [result.answer for result in run.ranking(0)][:2] == ["yes, it is bright", "yes"]
    assert finish(start(files))[0].answer == "yes, it is bright"


def test_a_completed_answer_that_cannot_be_kept_is_there_for_this_run(
    start: Start, files: list[Path], store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(files)
    best = finish(run)[0]
    monkeypatch.setattr(store.database, "write", lambda *_: False)
    run.update(replace(best, answer="yes, it is bright"))
    assert next(run.ranking(0)).answer == "yes, it is bright"


def test_an_image_without_a_score_never_gets_one_by_its_answer(start: Start, tmp_path: Path, store: ScoreStore) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    run = start([tmp_path / "a.png"])
    run.update(finish(run)[0])
    assert next(run.ranking(0)).problem and store.count() == 0
