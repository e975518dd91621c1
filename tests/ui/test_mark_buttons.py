"""The toggles that keep and reject an image."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from support.app_test import app_state, click, html, open_page, rank, red, restart, settle, submit, upload


def two_ranked() -> tuple[AppTest, str, str]:
    """The page, and the keys of the better image and of the other one."""
    app = rank(upload(open_page(), ("1.png", red(50)), ("2.png", red(200))), "红色")
    other, best = (image.key for image in app_state().library.images())
    return app, best, other


def labels(app: AppTest, key: str) -> list[str]:
    return [app.button(key=f"{mark}-card-{key}").label for mark in ("kept", "rejected")]


def test_an_image_is_kept_or_rejected_and_a_second_press_takes_the_mark_away() -> None:
    app, best, other = two_ranked()
    assert labels(app, best) == ["留", "弃"]
    app.button(key=f"kept-card-{best}").click().run()
    assert (app_state().marks.get(best), labels(app, best), labels(app, other)) == (
        "kept",
        ["已留", "弃"],
        ["留", "弃"],
    )
    app.button(key=f"rejected-card-{best}").click().run()
    assert (app_state().marks.get(best), labels(app, best)) == ("rejected", ["留", "已弃"])
    app.button(key=f"rejected-card-{best}").click().run()
    assert (app_state().marks.get(best), labels(app, best)) == (None, ["留", "弃"])


def test_a_set_toggle_has_another_icon_and_the_style_knows_it() -> None:
    app, best, _ = two_ranked()
    app.button(key=f"rejected-card-{best}").click().run()
    assert app.button(key=f"rejected-card-{best}").proto.icon == ":material/cancel:"
    assert html(app).count('class="mark-rejected"') == 1


def test_the_page_counts_what_is_kept_and_names_the_keys() -> None:
    app, best, _ = two_ranked()
    app.button(key=f"kept-card-{best}").click().run()
    assert "已留 1 张　·　指着图片按 K 留下，按 X 弃掉。" in [caption.value for caption in app.caption]


def test_marks_show_in_every_ranking_and_after_a_restart() -> None:
    app, best, other = two_ranked()
    app.button(key=f"kept-card-{best}").click().run()
    app.button(key=f"rejected-card-{other}").click().run()
    app = settle(submit(app, "无分"))
    assert (labels(app, best), labels(app, other)) == (["已留", "弃"], ["留", "已弃"])
    restart()
    app = settle(open_page())
    assert (labels(app, best), labels(app, other)) == (["已留", "弃"], ["留", "已弃"])


def test_clear_all_takes_the_marks_away() -> None:
    app, best, _ = two_ranked()
    app.button(key=f"kept-card-{best}").click().run()
    app = rank(upload(click(app, "全部清除"), ("2.png", red(200))), "红色")
    assert labels(app, best) == ["留", "弃"]
