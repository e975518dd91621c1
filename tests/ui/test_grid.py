"""The grid of ranked images: pages and the border of the first."""

from __future__ import annotations

from support.app_test import app_state, html, open_page, rank, red, upload


def test_the_border_stays_on_the_best_image_whatever_is_filtered() -> None:
    app = rank(upload(open_page(), *((f"red-{amount}.png", red(amount)) for amount in range(50, 251, 50))), "红色")
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
