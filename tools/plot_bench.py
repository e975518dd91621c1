"""Draw what `lychee-rerank bench --json` wrote: python -m tools.plot_bench NUMBERS.json OUT.svg"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import altair
import typer

QUERIES = {"first_ms": "first picture", "warm_ms": "first query", "cached_ms": "second query"}


def draw(numbers: Path, output: Annotated[Path, typer.Argument(help="An .svg or .png file.")]) -> None:
    """Bars of milliseconds a picture, one panel for each method."""
    chart(json.loads(numbers.read_text(encoding="utf-8"))).save(str(output))


def chart(result: dict[str, Any]) -> altair.FacetChart:
    """All implementations: the first picture, and the others of the first and of the second query over them."""
    rows = [
        {
            "method": entry["method"],
            "implementation": label(entry, result["max_score_difference"]),
            "query": query,
            "ms": round(entry[column], 1),
        }
        for entry in result["latencies"]
        for column, query in QUERIES.items()
    ]
    order = list(dict.fromkeys(row["implementation"] for row in rows))
    bars = altair.Chart(altair.Data(values=rows), width=300, height=3 * (16 * len(order) + 8)).encode(
        altair.X("ms:Q", title="ms a picture, median"),
        altair.Y("query:N", title=None, sort=list(QUERIES.values())),
        altair.YOffset("implementation:N", sort=order),
    )
    color = altair.Color("implementation:N", title=None, sort=order, legend=altair.Legend(labelLimit=0))
    layers = bars.mark_bar().encode(color) + bars.mark_text(align="left", dx=3).encode(altair.Text("ms:Q"))
    return layers.facet(altair.Column("method:N", title=f"{result['model']}, {result['dtype']}, {result['machine']}"))


def label(entry: dict[str, Any], max_score_difference: float) -> str:
    """Name and batch size; for an implementation that gives other scores, by how much."""
    batch = f", {entry['batch_size']} at once" if entry["batch_size"] > 1 else ""
    difference = entry["score_difference"]
    note = "" if difference <= max_score_difference else f" (scores differ by {difference:.2g})"
    return entry["implementation"] + batch + note


if __name__ == "__main__":
    typer.run(draw)
