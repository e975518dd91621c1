"""The scores of a query's conditions for one image, as small bars with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.ui.i18n import problem_text, t
from lychee_rerank.ui.score_line import score_class

_MIN_GAP = 0.5  # between the best and the weakest: 9.8 beside 9.9 is no weakness


def condition_bars(result: ImageScore) -> str:
    """One row a condition as HTML, the weakest marked where one falls behind; "" without conditions."""
    weakest = _weakest(result.conditions)
    rows = "".join(_row(condition, is_weakest=condition is weakest) for condition in result.conditions)
    return f'<dl class="conditions">{rows}</dl>' if rows else ""


def _weakest(conditions: Sequence[ConditionScore]) -> ConditionScore | None:
    scored = [condition for condition in conditions if condition.problem is None]
    scores = [condition.score for condition in scored]
    return scored[scores.index(min(scores))] if scored and max(scores) - min(scores) >= _MIN_GAP else None


def _row(condition: ConditionScore, *, is_weakest: bool) -> str:
    text = escape(condition.text)
    if condition.problem:
        problem = escape(problem_text(condition.problem))
        return f'<dt title="{text}">{text}</dt><dd class="bad">{problem}</dd>'
    strong, mark = (' class="weakest"', f"<small>{t('weakest')}</small> ") if is_weakest else ("", "")
    width = f"{10 * condition.score:.0f}%"
    return (
        f'<dt{strong} title="{text}">{text}</dt>'
        f'<dd class="bar {score_class(condition.score)}" aria-hidden="true"><i style="width: {width}"></i></dd>'
        f"<dd{strong}>{mark}{condition.score:.1f}</dd>"
    )
