"""Draw what `lychee-rerank bench --json` wrote: python -m tools.plot_bench NUMBERS.json OUT.svg"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import altair
import typer

QUERIES = {"warm_ms": "first query", "cached_ms": "second query"}


def draw(numbers: Path, output: Annotated[Path, typer.Argument(help="An .svg or .png file.")]) -> None:
    """Bars of milliseconds a picture, one panel for each method."""
    chart(json.loads(numbers.read_text(encoding="utf-8"))).save(str(output))


def chart(result: dict[str, Any]) -> altair.FacetChart:
    """Both implementations, for the first and the second query over the same pictures."""
    rows = [
        {key: entry[key] for key in ("method", "implementation")} | {"query": query, "ms": round(entry[column], 1)}
        for entry in result["latencies"]
        for column, query in QUERIES.items()
    ]
    bars = altair.Chart(altair.Data(values=rows), width=300, height=110).encode(
        altair.X("ms:Q", title="ms a picture, median"),
        altair.Y("query:N", title=None),
        altair.YOffset("implementation:N"),
    )
    color = altair.Color("implementation:N", title=None)
    layers = bars.mark_bar().encode(color) + bars.mark_text(align="left", dx=3).encode(altair.Text("ms:Q"))
    return layers.facet(altair.Column("method:N", title=f"{result['model']}, {result['dtype']}, {result['machine']}"))


if __name__ == "__main__":
    typer.run(draw)
