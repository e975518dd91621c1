"""The chart of `lychee-rerank eval --plot`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from lychee_rerank.errors import InputError
from lychee_rerank.rankings.evaluate import Metrics

_FIELDS = {
    "NDCG@10": "ndcg_at_10",
    "MRR": "mrr",
    "recall@1": "recall_at_1",
    "recall@5": "recall_at_5",
    "recall@10": "recall_at_10",
    "zh/en agreement": "agreement",
}


def check_drawable(file: Path) -> None:
    """Raises InputError where no chart can be drawn into `file`: unknown suffix, or no renderer installed."""
    if file.suffix not in (".png", ".svg"):
        raise InputError(f"{file} cannot be drawn: its name must end in .png or .svg.")
    if find_spec("vl_convert") is None:
        raise InputError("--plot needs vl-convert: start with `uv run --extra plot lychee-rerank eval ...`.")


def draw(metrics: Mapping[str, Metrics], file: Path) -> None:
    """Bars of the metrics from 0 to 1, one color a setting, with the confidence interval of NDCG@10 as a line."""
    import altair

    rows = [
        {"metric": title, "setting": setting, "value": getattr(values, field)}
        | ({"low": values.ndcg_low, "high": values.ndcg_high} if field == "ndcg_at_10" else {})
        for title, field in _FIELDS.items()
        for setting, values in metrics.items()
    ]
    base = altair.Chart({"values": rows}, width=660).encode(
        altair.X("metric:N", sort=None, title=None, axis=altair.Axis(labelAngle=0)),
        altair.XOffset("setting:N", sort=None),
        altair.Y("value:Q", title=None),
    )
    bars = base.mark_bar().encode(altair.Color("setting:N", sort=None, title=None))
    intervals = base.transform_filter("isValid(datum.low)").mark_rule().encode(altair.Y("low:Q"), altair.Y2("high:Q"))
    (bars + intervals).save(file, scale_factor=2)
