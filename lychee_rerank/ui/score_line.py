"""Rank and score in one line, in the color of the score."""

from __future__ import annotations

from lychee_rerank.results import ImageScore
from lychee_rerank.ui.i18n import rank_line

_GOOD, _FAIR = 8.0, 6.0


def score_class(score: float) -> str:
    """The CSS class of a score: "good" (green) above 8, "fair" (blue) from 6, "low" (grey) below."""
    return "good" if score > _GOOD else "fair" if score >= _FAIR else "low"


def score_line(result: ImageScore) -> str:
    """The line as HTML."""
    return f'<div class="rank {score_class(result.score)}">{rank_line(result)}</div>'
