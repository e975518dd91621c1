"""The list of things that the demo checkpoint is trained on."""

from __future__ import annotations

from tools.demo.pictograms import DEMO_FOLDER, read_things


def test_every_thing_has_characters_a_category_and_names_in_both_languages() -> None:
    rows = (DEMO_FOLDER / "things.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) >= 150
    assert all(len(row.split("\t")) == 4 and all(row.split("\t")) for row in rows)
    things = read_things()
    assert len(things) == len(rows)
    assert all(thing.characters and all(thing.english) and all(thing.chinese) for thing in things)
