"""The table of images and conditions, and what stands in its place."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from support.app_test import app_state, click, open_page, rank, red, restart, settle, upload
from support.images import encode

TAB = "条件"


def blue(red: int, amount: int) -> bytes:
    """A PNG that FakeReranker scores with red / 25.5 and, for a condition of 蓝, with amount / 25.5."""
    return encode(Image.new("RGB", (60, 40), (red, 0, amount)))


def ranked(query: str, *files: tuple[str, bytes], conditions: bool = True) -> AppTest:
    app = upload(open_page(tabs=TAB), *files)
    app.toggle(key="conditions").set_value(conditions)
    return rank(app, query)


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption]


def many(count: int) -> list[tuple[str, bytes]]:
    return [(f"{number}.png", red(number)) for number in range(100, 100 + count)]


def test_each_condition_has_a_column_of_numbers() -> None:
    app = ranked("红色，蓝色", ("a.png", blue(204, 51)), ("b.png", blue(102, 255)))
    table = app.dataframe[0].value
    assert table[["rank", "name", "score", "0", "1"]].values.tolist() == [
        [1, "a.png", 8.0, 8.0, 2.0],
        [2, "b.png", 4.0, 4.0, 10.0],
    ]
    assert [str(table[column].dtype) for column in ("score", "0", "1")] == ["float64"] * 3
    assert all(url.startswith("data:image/jpeg;base64,") for url in table["image"])


def test_columns_are_named_by_their_conditions() -> None:
    columns = json.loads(ranked("红色，分数", ("a.png", red(200))).dataframe[0].proto.columns)
    assert [columns[key]["label"] for key in ("score", "0", "1")] == ["分数", "红色", "分数"]


def test_the_better_a_score_the_greener_its_cell() -> None:
    styles = ranked("红色，蓝色", ("a.png", blue(255, 51))).dataframe[0].proto.arrow_data.styler.styles
    assert "rgba(76,175,80,0.62)" in styles
    assert "rgba(76,175,80,0.12)" in styles


def test_the_best_12_have_conditions_and_the_next_can_be_asked_for() -> None:
    app = ranked("红色，蓝色", *many(15))
    assert list(app.dataframe[0].value["rank"]) == [*range(1, 13)]
    assert any(caption.startswith("还有 3 张没有逐个条件打分。") for caption in captions(app))
    app = settle(click(app, "再给 3 张打分"))
    assert list(app.dataframe[0].value["rank"]) == [*range(1, 16)]
    assert "conditions-more" not in {button.key for button in app.button}


def test_without_the_setting_the_best_can_be_asked_for() -> None:
    app = ranked("红色，蓝色", *many(13), conditions=False)
    assert not app.dataframe
    assert len(settle(click(app, "给前 12 张打分")).dataframe[0].value) == 12


def test_a_query_of_one_condition_is_told_how_to_have_more() -> None:
    app = ranked("红色", ("a.png", red(200)))
    assert not app.dataframe
    assert any(caption.startswith("这段描述只有一个条件。") for caption in captions(app))


def test_a_ranking_of_an_earlier_sitting_shows_what_was_kept_and_says_how_to_have_more() -> None:
    ranked("红色，蓝色", *many(13))
    restart()
    app = open_page(tabs=TAB)
    assert len(app.dataframe[0].value) == 12
    assert "另有 1 张没有逐个条件打分，再排一次才能补上。" in captions(app)


def test_a_ranking_of_an_earlier_sitting_without_conditions_says_how_to_have_them() -> None:
    ranked("红色，蓝色", ("a.png", red(200)), conditions=False)
    restart()
    assert any(caption.startswith("这次排序没有逐个条件打分。") for caption in captions(open_page(tabs=TAB)))


def test_before_the_ranking_is_done_it_says_when_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked("红色", ("a.png", red(200)))
    job = app_state().job
    monkeypatch.setattr(job, "conditions", ())
    monkeypatch.setattr(job, "_state", "scoring")
    assert "排序完成后，这里会列出各个条件的得分。" in captions(open_page(tabs=TAB))


def test_an_image_without_a_score_is_not_in_the_table() -> None:
    app = ranked("红色，蓝色", ("a.png", red(200)), ("b.png", b"not an image"))
    assert list(app.dataframe[0].value["name"]) == ["a.png"]
