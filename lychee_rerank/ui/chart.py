"""The scores of a ranking as bars: people decide by the gaps between them."""

from __future__ import annotations

import streamlit as st

from lychee_rerank.ui.i18n import t
from lychee_rerank.ui.library import RankingJob

_HEIGHT = 320  # pixels
_MAX_LABELS = 30  # with more bars than this, ranks under them would overlap


def show(job: RankingJob) -> None:
    """One bar for each scored image, best first; its tooltip gives the file and the gap to the bar before."""
    import altair

    scored = [result for result in job.status().ranking if result.problem is None]
    if not scored:
        st.caption(t("no_scores_yet"))
        return
    rows = [
        {
            "rank": result.rank,
            "score": round(result.score, 2),
            "name": result.name,
            "gap": round(result.score - previous.score, 2),
        }
        for result, previous in zip(scored, [scored[0], *scored], strict=False)
    ]
    rank, score = t("rank"), t("score")
    axis = altair.Axis(labelAngle=0, labelOverlap=len(rows) > _MAX_LABELS)
    bars = altair.Chart(altair.InlineData(values=rows)).mark_bar(color="#4CAF50")
    bars = bars.properties(height=_HEIGHT).encode(
        x=altair.X("rank:O", title=rank, axis=axis),
        y=altair.Y("score:Q", title=score, scale=altair.Scale(domain=[0, 10])),
        tooltip=[
            altair.Tooltip("name:N", title=t("name")),
            altair.Tooltip("rank:O", title=rank),
            altair.Tooltip("score:Q", title=score, format=".2f"),
            altair.Tooltip("gap:Q", title=t("gap"), format="+.2f"),
        ],
    )
    st.altair_chart(bars, width="stretch", alt=t("chart_alt", count=len(rows)))
    st.caption(t("chart_hint"))
