"""The settings of the sidebar are there again in a new tab and after a new start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank.ui.state import AppState
from support.app_test import app_state, open_page, restart
from support.small_checkpoints import write_checkpoint


def values(app: AppTest) -> dict[str, object]:
    return {key: app.session_state[key] for key in json.loads(json.dumps(app.session_state["saved-settings"]))}


def change(app: AppTest) -> AppTest:
    app.radio(key="method").set_value("yes_no")
    app.radio(key="fit").set_value("whole")
    app.text_area(key="instruction").set_value("Find cats.")
    app.toggle(key="normalize").set_value(False)
    app.toggle(key="reasons").set_value(False)
    app.number_input(key="reserve").set_value(2.5)
    return app.run()


def test_changed_settings_are_there_after_a_new_start() -> None:
    changed = values(change(open_page()))
    restart()
    app = open_page()
    assert values(app) == changed
    assert (app.radio(key="fit").value, app.toggle(key="normalize").value) == ("whole", False)
    assert (app.text_area(key="instruction").value, app.number_input(key="reserve").value) == ("Find cats.", 2.5)


def test_another_language_keeps_them() -> None:
    changed = values(change(open_page("zh")))
    restart()
    assert values(open_page("en")) == changed


def test_they_are_written_when_they_change_and_at_no_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr("lychee_rerank.rankings.archive.Archive.save_settings", lambda _, kept: written.append(kept))
    app = open_page().run().run()
    assert written == []
    change(app).run()
    assert len(written) == 1


def test_a_folder_given_as_the_model_is_kept_while_it_exists(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "small")
    open_page().text_input(key="model-other").set_value(str(folder)).run()
    restart()
    assert open_page().text_input(key="model-other").value == str(folder)
    folder.rename(tmp_path / "moved")
    restart()
    assert open_page().text_input(key="model-other").value == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "/gone"),
        ("model", 1),
        ("model-other", "/gone"),
        ("method", "listwise"),
        ("fit", None),
        ("reasons", "yes"),
        ("instruction", 3),
        ("normalize", 0),
        ("reserve", 99.0),
        ("reserve", "1"),
        ("colour", "red"),
    ],
)
def test_a_kept_setting_that_cannot_be_used_is_the_default(key: str, value: object) -> None:
    defaults = values(open_page())
    state: AppState = app_state()
    state.archive.save_settings({**defaults, "fit": "whole", key: value})
    app = open_page()
    assert not app.exception
    assert values(app) == {**defaults, "fit": "crop" if key == "fit" else "whole"}


def test_the_last_query_is_in_the_box_of_a_new_tab() -> None:
    from support.app_test import rank, red, upload

    rank(upload(open_page(), ("a.png", red(200))), "红色")
    restart()
    assert open_page().text_input(key="query").value == "红色"
