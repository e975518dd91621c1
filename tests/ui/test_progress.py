"""The progress of a ranking in words, and its latest events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import pytest

from lychee_rerank.errors import ModelError, PictureProblem
from lychee_rerank.rankings.job_status import JobStatus
from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import Language
from lychee_rerank.ui.progress import _event_lines, _isolate, _summary
from support.app_test import app_state, click, open_page, rank, red, settle, submit, upload
from support.fake_reranker import FakeReranker

RESULT = ImageScore(6, "咖啡杯特写", 7.2, "generate")
SCORING = JobStatus("scoring", 42, (RESULT,) * 12, (RESULT,), 0, 30.0, False, 12.0, None)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (SCORING, "已处理 12 / 总 42 张，约剩 30.0 秒"),
        (replace(SCORING, seconds_left=None), "已处理 12 / 总 42 张"),
        (replace(SCORING, stopping=True), "正在停止，等这一张打完分……"),
        (replace(SCORING, state="loading"), "正在载入模型……第一次需要一点时间。"),
        (
            replace(SCORING, state="conditions", condition_scores=7, condition_scores_total=36),
            "排序已完成，正在逐个条件打分：7 / 36",
        ),
        (replace(SCORING, state="conditions", stopping=True), "正在停止……"),
        (replace(SCORING, state="explaining", explained=3), "排序已完成，正在补写理由：3 / 42"),
        (replace(SCORING, state="done", seconds=126.0), "完成：42 张，用时 2 分钟。"),
        (replace(SCORING, state="stopped", stopping=True), "已停止：12 / 42 张有结果。再按“开始重排序”会接着排。"),
    ],
)
def test_every_state_of_a_ranking_has_its_text(speak: Callable[[Language], None], status: JobStatus, text: str) -> None:
    speak("zh")
    assert _summary(status) == text


def test_an_event_gives_the_score_and_then_what_was_done_to_the_image(speak: Callable[[Language], None]) -> None:
    speak("zh")
    turned = replace(RESULT, notes=("exif_rotated",))
    assert _event_lines(turned) == ["第7张 咖啡杯特写 → 7.2", "第7张 咖啡杯特写：EXIF旋转已校正"]


def test_an_event_of_an_image_without_a_score_gives_the_reason(speak: Callable[[Language], None]) -> None:
    speak("en")
    assert _event_lines(replace(RESULT, problem=PictureProblem("empty"))) == [
        "#7 咖啡杯特写: the file is empty (0 bytes)"
    ]


def test_a_ranking_that_fails_shows_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise RuntimeError("driver *lost*")

    monkeypatch.setattr(FakeReranker, "prompt_text", fail)
    app = settle(submit(upload(open_page(), ("a.png", red(200))), "红色"))
    assert app_state().job.status().state == "failed"
    assert app.error[0].value.startswith("排序中断：")
    assert r"driver \*lost\*" in app.error[0].value


def test_a_ranking_stands_where_its_conditions_cannot_be_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    app = upload(open_page(), ("a.png", red(200)))
    app.toggle(key="conditions").set_value(False)
    rank(app, "红色，蓝色")

    def fail(*args: object, **kwargs: object) -> NoReturn:
        raise ModelError("driver *lost*")

    monkeypatch.setattr(FakeReranker, "stream", fail)
    app = settle(click(app, "逐个条件打分"))
    assert app_state().job.status().state == "done"
    assert app.error[0].value == r"没能逐个条件打分：driver \*lost\*"
    assert "完成：1 张" in app.get("progress")[0].proto.text


def test_a_name_that_turns_the_direction_of_writing_turns_nothing_else() -> None:
    (line,) = _event_lines(replace(RESULT, name="<\u202egpj>", notes=()))
    assert _isolate(line, "<\u202egpj>") == "#7 <bdi>&lt;\u202egpj&gt;</bdi> → 7.2"
