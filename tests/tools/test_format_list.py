"""README.md names the formats that are read, all of them and no other."""

from __future__ import annotations

from tools.format_list import README, with_formats


def test_readme_names_the_formats_that_are_read() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_formats(text) == text, "Renew it with: python -m tools.format_list"
