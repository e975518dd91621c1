"""Near duplicates folded into one card, and left out of an export on request."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank.ui import export_panel
from support.app_test import app_state, html, open_page, rank, red, upload
from support.fake_reranker import FakeReranker

FILES = [(f"red-{amount}.png", red(amount)) for amount in (50, 60, 70, 80, 90)]


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """red-50, red-70 and red-90 are alike."""
    monkeypatch.setattr(FakeReranker, "near_duplicates", lambda *_, **__: ((0, 2, 4),))


@pytest.fixture
def app() -> AppTest:
    return rank(upload(open_page(), *FILES), "红色")


def key(name: str) -> str:
    return next(image.key for image in app_state().library.images() if image.name == name)


def cards(app: AppTest) -> list[str]:
    """The names of the images that have a card, best first."""
    names = {image.key: image.name for image in app_state().library.images()}
    keys = (str(button.key).removeprefix("large-") for button in app.button)
    return [names[key] for key in keys if key in names]


def lines(app: AppTest) -> list[str]:
    return [expander.label for expander in app.expander if expander.label.endswith("相近")]


def test_the_best_of_a_group_stands_for_it(app: AppTest) -> None:
    assert cards(app) == ["red-90.png", "red-80.png", "red-60.png"]
    assert lines(app) == ["共 3 张相近"]
    assert html(app).count("red-70.png") == 2  # in the line: its name, and in full as a title


def test_a_switch_shows_every_image_in_a_card_of_its_own(app: AppTest) -> None:
    app.toggle(key="fold-alike").set_value(False).run()
    assert cards(app) == [f"red-{amount}.png" for amount in (90, 80, 70, 60, 50)]
    assert lines(app) == []


def test_where_nothing_is_alike_there_is_no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeReranker, "near_duplicates", lambda *_, **__: ())
    app = rank(upload(open_page(), *FILES), "红色")
    assert len(cards(app)) == 5
    assert [toggle for toggle in app.toggle if toggle.key == "fold-alike"] == []


def test_the_next_one_stands_for_a_group_whose_best_is_filtered_out(app: AppTest) -> None:
    app_state().marks.set(key("red-90.png"), "rejected")
    app.selectbox(key="filter-mark").set_value("none").run()
    assert cards(app) == ["red-80.png", "red-70.png", "red-60.png"]
    assert lines(app) == ["共 2 张相近"]


def test_a_folded_image_opens_in_the_large_view(app: AppTest) -> None:
    app.button(key=f"large-alike-{key('red-70.png')}").click().run()
    view = html(app).partition('<div class="position">2 / 3</div>')[2]
    assert '<div class="large-name" title="red-70.png">' in view


def test_exports_are_asked_to_hold_all_images_at_first() -> None:
    app = rank(upload(open_page(tabs="导出"), *FILES), "红色")
    assert not app.checkbox(key="one-of-alike").value
    assert [button.proto.label for button in app.get("download_button")][2] == "下载前 5 名的图片"
    app.checkbox(key="one-of-alike").check().run()
    assert [button.proto.label for button in app.get("download_button")][2] == "下载前 3 名的图片"


@pytest.mark.usefixtures("app")
def test_exports_hold_one_of_each_group_on_request() -> None:
    marks, job = app_state().marks, app_state().job
    assert job

    def exported(*, one_of_alike: bool) -> list[list[tuple[int, str]]]:
        table = export_panel._csv(marks, job, one_of_alike=one_of_alike).decode("utf-8-sig")
        data = json.loads(export_panel._json(marks, job, one_of_alike=one_of_alike))["results"]
        return [
            [(int(row["rank"]), row["name"]) for row in csv.DictReader(io.StringIO(table))],
            [(entry["rank"], entry["name"]) for entry in data],
        ]

    every = [(5 - position, name) for position, (name, _) in enumerate(FILES)][::-1]
    assert exported(one_of_alike=False) == [every, every]
    best = [(1, "red-90.png"), (2, "red-80.png"), (4, "red-60.png")]
    assert exported(one_of_alike=True) == [best, best]
    packed = export_panel._zip(job, export_panel._selected(marks, job, 3, one_of_alike=True))
    assert [name[-10:] for name in zipfile.ZipFile(io.BytesIO(packed)).namelist()] == [name for _, name in best]


@pytest.mark.usefixtures("app")
def test_a_kept_image_is_packed_although_a_better_one_like_it_is_not_kept() -> None:
    marks, job = app_state().marks, app_state().job
    assert job
    marks.set(key("red-50.png"), "kept")
    assert [each.name for each in export_panel._selected(marks, job, None, one_of_alike=True)] == ["red-50.png"]
