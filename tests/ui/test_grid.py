"""The grid of ranked images: colors, filters, pages and the border of the first."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank.ui.grid import score_class
from support.app_test import app_state, html, open_page, rank, red, upload


@pytest.fixture
def app() -> AppTest:
    """Five ranked images, red-50.png to red-250.png."""
    files = ((f"red-{amount}.png", red(amount)) for amount in range(50, 251, 50))
    return rank(upload(open_page(), *files), "红色")


def shown(app: AppTest) -> list[str]:
    text = html(app)
    return [name for name in (f"red-{amount}.png" for amount in range(250, 49, -50)) if name in text]


@pytest.mark.parametrize(
    ("score", "css_class"), [(0.0, "low"), (5.9, "low"), (6.0, "fair"), (8.0, "fair"), (8.1, "good"), (10.0, "good")]
)
def test_scores_are_gray_below_6_blue_to_8_and_green_above(score: float, css_class: str) -> None:
    assert score_class(score) == css_class


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


def test_the_border_stays_on_the_best_image_whatever_is_filtered(app: AppTest) -> None:
    best = next(image for image in app_state().library.images() if image.name == "red-250.png")
    app.text_input(key="filter-name").set_value("red-50").run()
    assert f"<style>.st-key-card-{best.key} [data-testid='stImage'] img {{ border: 3px solid #4CAF50;" in html(app)


def test_an_image_without_a_score_never_has_the_border() -> None:
    assert "border: 3px solid #4CAF50" not in html(rank(upload(open_page(), ("a.png", b"not an image")), "红色"))


def test_long_rankings_are_split_into_pages_of_24() -> None:
    files = ((f"{number}.png", red(number)) for number in range(100, 130))
    text = html(rank(upload(open_page(), *files), "红色"))
    assert text.count('class="name"') == 24
    assert "129.png" in text
    assert "100.png" not in text


def test_pages_are_offered_before_a_second_one_is_needed() -> None:
    files = ((f"{number}.png", red(number)) for number in range(100, 130))
    app = rank(upload(open_page(), *files), "红色")
    app.text_input(key="filter-name").set_value("129").run()
    assert [pagination.proto.num_pages for pagination in app.get("pagination")] == [1]
