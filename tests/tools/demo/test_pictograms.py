"""The things that the demo checkpoint is trained on, and their drawings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.demo.pictograms import DEMO_FOLDER, draw, read_things
from tools.demo.styles import MISLEADING_NAMES, WRONG_DRAWINGS

ICON = {"body": '<path fill="currentColor" d="M2 2h12v12H2z"/>'}


def test_every_thing_has_characters_a_category_and_names_in_both_languages() -> None:
    rows = (DEMO_FOLDER / "things.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) >= 150
    assert all(len(row.split("\t")) == 4 and all(row.split("\t")) for row in rows)
    things = read_things()
    assert len(things) == len(rows)
    assert all(thing.characters and all(thing.english) and all(thing.chinese) for thing in things)


def write_icons(packages: Path, style: str, names: list[str]) -> None:
    folder = packages / "@iconify-json" / style
    folder.mkdir(parents=True)
    (folder / "icons.json").write_text(json.dumps({"icons": dict.fromkeys(names, ICON)}), encoding="utf-8")


def drawn_things(packages: Path, style: str) -> set[str]:
    return {read_things()[pictogram.thing].english[0] for pictogram in draw((style,), packages=packages)}


def test_drawings_of_another_thing_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="the group `demo` is not installed")
    write_icons(tmp_path, "maki", ["school", "cat"])
    write_icons(tmp_path, "bi", ["school", "cat"])
    assert drawn_things(tmp_path, "maki") == {"cat"}
    assert drawn_things(tmp_path, "bi") == {"school", "cat"}


def test_icons_whose_name_means_another_thing_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="the group `demo` is not installed")
    write_icons(tmp_path, "bi", ["lamp", "light-bulb-fill", "mouse"])
    assert drawn_things(tmp_path, "bi") == {"light bulb"}


def test_what_is_left_out_names_things_of_the_list() -> None:
    names = {thing.english[0] for thing in read_things()}
    assert {thing for _, thing in WRONG_DRAWINGS} | set(MISLEADING_NAMES) <= names
