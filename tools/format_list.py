"""Writes the formats that are read into README.md, between its two comments: `python -m tools.format_list`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lychee_rerank.images.kinds import format_list

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- formats: python -m tools.format_list -->\n", "<!-- end -->"


def with_formats(text: str) -> str:
    """The text of README.md with what is between its comments renewed."""
    before, rest = text.split(START)
    after = rest.split(END, 1)[1]
    lines = textwrap.fill(format_list(), 150, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False)
    return f"{before}{START}{lines}{END}{after}"


if __name__ == "__main__":
    README.write_text(with_formats(README.read_text(encoding="utf-8")), encoding="utf-8")
