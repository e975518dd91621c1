"""Draw what `lychee-rerank bench --json` wrote: python tools/plot_bench.py NUMBERS.json OUT.svg"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import altair
import typer

COLUMNS = {"later": "first query", "second_query": "second query"}


def draw(numbers: Path, output: Annotated[Path, typer.Argument(help="An .svg or .png file.")]) -> None:
    """Bars of milliseconds a picture, one panel for each method."""
    report = json.loads(numbers.read_text(encoding="utf-8"))
    chart(report).save(str(output))


def chart(report: dict[str, Any]) -> altair.FacetChart:
    """The engine beside the plain loop, for the first and the second query over the same pictures."""
    rows = [
        {"method": speed["method"], "way": speed["way"], "query": COLUMNS[column], "ms": round(speed[column], 1)}
        for speed in report["speeds"]
        for column in COLUMNS
    ]
    bars = altair.Chart(altair.Data(values=rows), width=300, height=110).encode(
        altair.X("ms:Q", title="ms a picture, median"), altair.Y("query:N", title=None), altair.YOffset("way:N")
    )
    layers = bars.mark_bar().encode(altair.Color("way:N", title=None)) + bars.mark_text(align="left", dx=3).encode(
        altair.Text("ms:Q")
    )
    return layers.facet(altair.Column("method:N", title=f"{report['model']}, {report['dtype']}, {report['machine']}"))


if __name__ == "__main__":
    typer.run(draw)
