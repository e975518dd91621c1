"""The filters above the grid."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from support.app_test import app_state, html, open_page, rank, red, upload


@pytest.fixture
def app() -> AppTest:
    """Five ranked images, red-50.png to red-250.png."""
    files = ((f"red-{amount}.png", red(amount)) for amount in range(50, 251, 50))
    return rank(upload(open_page(), *files), "红色")


def shown(app: AppTest) -> list[str]:
    text = html(app)
    return [name for name in (f"red-{amount}.png" for amount in range(250, 49, -50)) if name in text]


def test_a_minimum_score_hides_what_is_below(app: AppTest) -> None:
    app.slider(key="filter-score").set_value(6.0).run()
    assert shown(app) == ["red-250.png", "red-200.png"]


def test_top_n_shows_the_first_ranks_only(app: AppTest) -> None:
    app.number_input(key="filter-top").set_value(3).run()
    assert shown(app) == ["red-250.png", "red-200.png", "red-150.png"]


def test_images_are_found_by_a_part_of_their_name(app: AppTest) -> None:
    app.text_input(key="filter-name").set_value(" RED-2").run()
    assert shown(app) == ["red-250.png", "red-200.png"]


def test_filters_that_nothing_passes_say_so(app: AppTest) -> None:
    app.text_input(key="filter-name").set_value("cat").run()
    assert "没有符合条件的图片。" in [caption.value for caption in app.caption]


def test_images_are_filtered_by_their_mark(app: AppTest) -> None:
    keys = {image.name: image.key for image in app_state().library.images()}
    app_state().marks.set(keys["red-50.png"], "kept")
    app_state().marks.set(keys["red-250.png"], "rejected")
    for label, names in (
        ("留下的", ["red-50.png"]),
        ("弃掉的", ["red-250.png"]),
        ("未标记", ["red-200.png", "red-150.png", "red-100.png"]),
        ("全部", ["red-250.png", "red-200.png", "red-150.png", "red-100.png", "red-50.png"]),
    ):
        app.selectbox(key="filter-mark").select(label).run()
        assert shown(app) == names


def test_an_image_that_gets_a_mark_leaves_the_unmarked_ones(app: AppTest) -> None:
    app.selectbox(key="filter-mark").select("未标记").run()
    best = next(image for image in app_state().library.images() if image.name == "red-250.png")
    app.button(key=f"kept-card-{best.key}").click().run()
    assert shown(app) == ["red-200.png", "red-150.png", "red-100.png", "red-50.png"]
