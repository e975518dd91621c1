"""The chart of scores: one bar for each scored image, with the gap to the one before, or for each of its conditions."""

from __future__ import annotations

from pandas import DataFrame
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from support.app_test import open_page, rank, red, upload


def bars(app: AppTest) -> list[tuple[int, float, str, float]]:
    return list(rows(app)[["rank", "score", "name", "gap"]].itertuples(index=False, name=None))


def rows(app: AppTest) -> DataFrame:
    return convert_arrow_bytes_to_pandas_df(app.get("vega_lite_chart")[0].proto.datasets[0].data.data)


def test_each_scored_image_has_a_bar_with_the_gap_to_the_one_before() -> None:
    files = (("a.png", red(51)), ("b.png", red(255)), ("c.png", b"not an image"))
    app = rank(upload(open_page(tabs="分数图"), *files), "红色")
    assert bars(app) == [(1, 10.0, "b.png", 0.0), (2, 2.0, "a.png", -8.0)]


def test_conditions_are_a_bar_each_where_some_were_scored() -> None:
    app = rank(upload(open_page(tabs="分数图"), ("a.png", red(51)), ("b.png", red(255))), "红色，蓝色")
    assert bars(app) == [(1, 10.0, "b.png", 0.0), (2, 2.0, "a.png", -8.0)]
    app.segmented_control(key="chart-view").set_value("conditions").run()
    assert list(rows(app)[["rank", "score", "condition"]].itertuples(index=False, name=None)) == [
        (1, 10.0, "红色"),
        (1, 0.0, "蓝色"),
        (2, 2.0, "红色"),
        (2, 0.0, "蓝色"),
    ]


def test_without_conditions_there_is_one_chart_to_see() -> None:
    app = rank(upload(open_page(tabs="分数图"), ("a.png", red(51))), "红色")
    assert "chart-view" not in app.session_state


def test_without_scores_there_is_no_chart() -> None:
    app = rank(upload(open_page(tabs="分数图"), ("c.png", b"not an image")), "红色")
    assert not app.get("vega_lite_chart")
    assert "还没有分数。" in [caption.value for caption in app.caption]
