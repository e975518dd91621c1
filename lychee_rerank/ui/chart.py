"""The scores of a ranking as bars: people decide by the gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob

if TYPE_CHECKING:
    import altair

_HEIGHT = 320  # pixels
_MAX_LABELS = 30  # with more bars than this, ranks under them would overlap
_LEGEND_WIDTH = 220  # pixels of a condition's text


def show(job: RankingJob) -> None:
    """One bar for each scored image, best first; or, where conditions were scored, one for each of its conditions."""
    scored = [result for result in job.status().ranking if result.problem is None]
    if not scored:
        st.caption(t("no_scores_yet"))
        return
    rated = [result for result in scored if result.conditions]
    if rated and _shows_conditions():
        st.altair_chart(_condition_bars(job, rated), width="stretch", alt=t("conditions_alt", count=len(rated)))
        st.caption(t("chart_conditions_hint"))
    else:
        st.altair_chart(_score_bars(scored), width="stretch", alt=t("chart_alt", count=len(scored)))
        st.caption(t("chart_hint"))


def _shows_conditions() -> bool:
    labels = {"scores": t("score"), "conditions": t("chart_conditions")}
    view = st.segmented_control(
        t("chart_view"),
        labels,
        default="scores",
        required=True,
        format_func=lambda name: labels[name],
        label_visibility="collapsed",
        key="chart-view",
    )
    return view == "conditions"


def _score_bars(scored: Sequence[ImageScore]) -> altair.Chart:
    """The tooltip gives the file and the gap to the bar before."""
    import altair

    rows: list[dict[str, Any]] = [
        {
            "rank": result.rank,
            "score": round(result.score, 2),
            "name": result.name,
            "gap": round(result.score - previous.score, 2),
        }
        for result, previous in zip(scored, [scored[0], *scored], strict=False)
    ]
    gap = altair.Tooltip("gap:Q", title=t("gap"), format="+.2f")
    return _bars(rows, len(rows), gap, color=altair.value("#4CAF50"))


def _condition_bars(job: RankingJob, rated: Sequence[ImageScore]) -> altair.Chart:
    """A group of bars for each image, in the order of the conditions."""
    import altair

    rows: list[dict[str, Any]] = [
        {"rank": result.rank, "score": round(score.score, 2), "name": result.name, "condition": score.text}
        for result in rated
        for score in result.conditions
        if score.problem is None
    ]
    order = altair.Scale(domain=list(job.conditions))
    legend = altair.Legend(title=None, orient="top", columns=4, labelLimit=_LEGEND_WIDTH)
    offset, color = altair.XOffset("condition:N", scale=order), altair.Color("condition:N", scale=order, legend=legend)
    condition = altair.Tooltip("condition:N", title=t("condition"))
    return _bars(rows, len(rated), condition, xOffset=offset, color=color)


def _bars(rows: list[dict[str, Any]], images: int, detail: altair.Tooltip, **channels: Any) -> altair.Chart:
    """The scores of `rows` by rank, with further channels; the tooltip also gives `detail`."""
    import altair

    rank, score = t("rank"), t("score")
    axis = altair.Axis(labelAngle=0, labelOverlap=images > _MAX_LABELS)
    bars = altair.Chart(altair.InlineData(values=rows)).mark_bar().properties(height=_HEIGHT)
    chart: altair.Chart = bars.encode(
        x=altair.X("rank:O", title=rank, axis=axis),
        y=altair.Y("score:Q", title=score, scale=altair.Scale(domain=[0, 10])),
        tooltip=[
            altair.Tooltip("name:N", title=t("name")),
            altair.Tooltip("rank:O", title=rank),
            altair.Tooltip("score:Q", title=score, format=".2f"),
            detail,
        ],
        **channels,
    )
    return chart
