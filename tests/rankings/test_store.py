"""Scores kept on disk, found again by what was scored and how."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.errors import StoreError
from lychee_rerank.rankings import store as store_module
from lychee_rerank.rankings.database import FILE_NAME, Database
from lychee_rerank.rankings.store import KeptScores, ScoreStore, open_store, score_settings
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import normalize_query
from lychee_rerank.text.score_parser import ParsedScore
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint
from support.fake_cli import BrightnessBackend, brightness_reranker

GENERATED = ImageScore(
    index=0,
    name="",
    score=8.6,
    method="generate",
    answer="得分：8.6分。",
    parsed=ParsedScore(value=8.6, tier="primary", span=(3, 6), rule="score at the start"),
    seconds=0.25,
    notes=("exif_rotated",),
    token_ids=(5, 6, 7),
    finished=False,
)
UNPARSED = ImageScore(0, "", 0.0, "generate", parsed=ParsedScore(value=0.0, tier="default", span=None))
YES_NO = ImageScore(0, "", 9.25, "yes_no", answer="yes", probability=0.925)
SETTINGS = {"prompt": "白猫", "method": "generate", "fit": "crop", "weights": "a", "preparation": 2, "parser": 1}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScoreStore]:
    with open_store(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("result", [GENERATED, UNPARSED, YES_NO], ids=["generated", "unparsed", "yes_no"])
def test_a_score_comes_back_exactly_as_it_was_added(store: ScoreStore, tmp_path: Path, result: ImageScore) -> None:
    scores = store.scores(SETTINGS)
    assert scores.get("k") is None
    assert scores.add("k", replace(result, index=7, name="白 猫.jpg", rank=3))
    assert scores.get("k") == result
    with closing(Database(tmp_path)) as database:  # of another process, while this one goes on
        assert KeptScores(database, SETTINGS).get("k") == result


def test_an_image_keeps_its_first_score(store: ScoreStore) -> None:
    scores = store.scores(SETTINGS)
    assert scores.add("k", GENERATED) and scores.add("k", UNPARSED)
    assert scores.get("k") == GENERATED and store.count() == 1


def test_a_completed_answer_replaces_the_one_that_was_cut(store: ScoreStore) -> None:
    scores = store.scores(SETTINGS)
    completed = replace(GENERATED, answer="得分：8.6分。理由：……", finished=True)
    scores.add("k", GENERATED)
    assert scores.update("k", completed) and scores.get("k") == completed
    assert scores.update("deleted meanwhile", completed) and scores.get("deleted meanwhile") == completed


def test_scores_of_other_settings_are_kept_apart(store: ScoreStore) -> None:
    settings = [SETTINGS, *(SETTINGS | {name: "another"} for name in SETTINGS)]
    for number, each in enumerate(settings):
        assert store.scores(each).get("k") is None
        store.scores(each).add("k", replace(YES_NO, score=float(number)))
    found = [store.scores(each).get("k") for each in settings]
    assert [result and result.score for result in found] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    in_another_order = store.scores(dict(reversed(SETTINGS.items()))).get("k")
    assert in_another_order and in_another_order.score == 0.0


def test_a_fresh_start_deletes_the_scores_of_its_settings_and_no_others(store: ScoreStore) -> None:
    for settings in (SETTINGS, SETTINGS | {"fit": "whole"}):
        store.scores(settings).add("k", GENERATED)
    assert store.scores(SETTINGS, fresh=True).get("k") is None
    assert store.scores(SETTINGS | {"fit": "whole"}).get("k") == GENERATED


def test_a_fresh_start_uses_no_old_score_where_they_cannot_be_deleted(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.scores(SETTINGS).add("k", GENERATED)
    monkeypatch.setattr(store.database, "write", lambda *_: False)
    scores = store.scores(SETTINGS, fresh=True)
    assert scores.get("k") is None and not scores.add("k", UNPARSED)
    assert store.scores(SETTINGS).get("k") == GENERATED


@pytest.mark.parametrize(
    "damaged", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"score": 5}', b"NaN"], ids=repr
)
def test_a_damaged_row_counts_as_none_and_is_written_anew(store: ScoreStore, damaged: bytes) -> None:
    scores = store.scores(SETTINGS)
    scores.add("k", GENERATED)
    store.database.write("UPDATE scores SET result = ?", [(damaged,)])
    assert scores.get("k") is None
    assert scores.add("k", GENERATED) and scores.get("k") == GENERATED


@pytest.mark.parametrize(("old", "new"), [(b'"score": 8.6', b'"score": 86.'), (b'"score": 8.6', b'"score": NaN')])
def test_a_number_that_is_no_score_counts_as_none(store: ScoreStore, old: bytes, new: bytes) -> None:
    scores = store.scores(SETTINGS)
    scores.add("k", GENERATED)
    ((kept,),) = store.database.read("SELECT result FROM scores")
    store.database.write("UPDATE scores SET result = ?", [(kept.replace(old, new),)])
    assert scores.get("k") is None


def test_clearing_deletes_every_score_also_while_another_process_uses_the_file(
    store: ScoreStore, tmp_path: Path
) -> None:
    with open_store(tmp_path) as other:
        running = other.scores(SETTINGS)
        running.add("before", GENERATED)
        store.clear()
        assert running.get("before") is None and store.count() == 0
        assert running.add("after", YES_NO)  # what comes later is kept again, and found by later runs
    assert store.scores(SETTINGS).get("after") == YES_NO and store.count() == 1
    assert store.scores(SETTINGS).get("before") is None


def test_clearing_that_fails_says_why(store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.scores(SETTINGS).add("k", GENERATED)
    monkeypatch.setattr("lychee_rerank.rankings.database_file._BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other, open_store(tmp_path) as second:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked"):
            second.clear()


def test_no_score_is_too_old(store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.scores(SETTINGS).add("k", GENERATED)
    store.database.close()
    os.utime(tmp_path / FILE_NAME, (0, 0))
    for year in (1970, 2000, 2100):
        monkeypatch.setattr(time, "time", lambda year=year: (year - 1970) * 3.2e7)
        with open_store(tmp_path) as opened:
            assert opened.scores(SETTINGS).get("k") == GENERATED
            opened.scores(SETTINGS | {"prompt": str(year)}).add("k", GENERATED)
    assert opened.database.problem == ""


def server_reranker(url: str, model: str = "model") -> Reranker:
    return Reranker(BrightnessBackend(), checkpoint=Checkpoint(Path(), model, "server", url=url))


def test_settings_hold_prompt_method_fit_weights_and_versions_and_no_names(tmp_path: Path) -> None:
    backend = BrightnessBackend()
    reranker, query = brightness_reranker(backend), normalize_query("red")
    settings = score_settings(reranker, query)
    assert settings == score_settings(reranker, query, reranker.options)
    assert list(settings) == ["prompt", "method", "fit", "weights", "preparation", "parser"]
    retrained = Reranker(backend, checkpoint=Checkpoint(DEMO_FOLDER, "demo", "demo"), options=reranker.options)
    renamed = replace(reranker.checkpoint, name="another name", source="huggingface")
    moved = Reranker(backend, checkpoint=renamed, options=reranker.options)
    assert score_settings(moved, query) == settings

    def in_type(dtype: str) -> Reranker:
        plan = DeviceMapPlan({"": "cpu"}, "", dtype)
        return Reranker(backend, checkpoint=reranker.checkpoint, options=reranker.options, device_map_plan=plan)

    assert score_settings(in_type("bfloat16"), query) == settings, "kept before there was another type"
    others = [
        score_settings(in_type("float32"), query),
        score_settings(reranker, normalize_query("blue")),
        score_settings(retrained, query),
        score_settings(reranker, query, replace(reranker.options, method="generate")),
        score_settings(reranker, query, replace(reranker.options, instruction="Find another.")),
        score_settings(reranker, query, replace(reranker.options, fit="whole")),
    ]
    assert len({str(each) for each in (settings, *others)}) == 7


@pytest.mark.parametrize("version", ["PREPARATION_VERSION", "PARSER_VERSION"])
def test_scores_of_another_version_of_the_code_are_not_used(
    store: ScoreStore, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    reranker, query = brightness_reranker(BrightnessBackend()), normalize_query("red")
    store.scores(score_settings(reranker, query)).add("k", YES_NO)
    monkeypatch.setattr(store_module, version, 99)
    assert store.scores(score_settings(reranker, query)).get("k") is None


def test_the_settings_of_a_server_hold_its_exact_address_and_its_model() -> None:
    query = normalize_query("red")
    addresses = ["http://host:8000", "http:/host", "http://host", "http://host:8001"]
    rerankers = [*map(server_reranker, addresses), server_reranker("http://host:8000", "another model")]
    assert len({str(score_settings(reranker, query)) for reranker in rerankers}) == 5
    assert score_settings(server_reranker("http://host:8000"), query) == score_settings(rerankers[0], query)
