"""The scores of a ranking as bars: the steps between them are what people decide by."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.rankings.job import Job
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item

_HEIGHT = 320
_NAMED = 30  # bars that have room for their place under them


def show(job: Job[Item], language: Language) -> None:
    """One bar a scored picture, best first; a bar tells its file and how far it stands below the one before."""
    import altair

    scored = [result for result in job.status().ranking if result.problem is None]
    if not scored:
        st.caption(text(language, "no_scores_yet"))
        return
    before = [scored[0], *scored]
    rows = [
        {
            "rank": result.rank,
            "score": round(result.score, 2),
            "name": result.name,
            "step": round(result.score - above.score, 2),
        }
        for result, above in zip(scored, before, strict=False)
    ]
    ticks = altair.Axis(labelAngle=0, labelOverlap=True) if len(rows) > _NAMED else altair.Axis(labelAngle=0)
    bars = (
        altair.Chart(altair.InlineData(values=rows))
        .mark_bar(color="#4CAF50")
        .encode(
            x=altair.X("rank:O", title=text(language, "rank"), axis=ticks),
            y=altair.Y("score:Q", title=text(language, "score"), scale=altair.Scale(domain=[0, 10])),
            tooltip=[
                altair.Tooltip("name:N", title=text(language, "name")),
                altair.Tooltip("rank:O", title=text(language, "rank")),
                altair.Tooltip("score:Q", title=text(language, "score"), format=".2f"),
                altair.Tooltip("step:Q", title=text(language, "step"), format="+.2f"),
            ],
        )
        .properties(height=_HEIGHT)
    )
    st.altair_chart(bars, width="stretch", alt=text(language, "chart_alt", count=len(rows)))
    st.caption(text(language, "chart_hint"))
