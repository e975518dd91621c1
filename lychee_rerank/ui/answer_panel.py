"""The model's answer about one image: folded, complete, with the score highlighted where it was found."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.results import ImageScore
from lychee_rerank.ui.condition_bars import condition_bars
from lychee_rerank.ui.i18n import problem_text, rule_name, t
from lychee_rerank.ui.library import RankingJob


def show(job: RankingJob, result: ImageScore) -> None:
    """The folded answer; unfolded from the start where there is no valid score."""
    has_no_score = result.problem is not None or (result.parsed is not None and result.parsed.tier == "default")
    key = f"{job.started}-{job.images[result.index].key}"
    with st.expander(t("output"), expanded=has_no_score, key=f"answer-{key}", on_change="rerun"):
        st.html(answer_html(result) + condition_bars(result))
        conditions_button(job, result, "card")


def conditions_button(job: RankingJob, result: ImageScore, place: str) -> None:
    """Asks for the conditions of an image that has none yet. `place` ("card" or "large") is part of its key."""
    is_complete = result.problem is not None or len(result.conditions) == len(job.conditions)
    if is_complete or not job.can_score_conditions:
        return
    key = f"conditions-{place}-{job.started}-{job.images[result.index].key}"
    # For those that are being scored, perhaps also this image's. In the large view it would swallow Escape.
    waits = place == "card" and job.status().state == "conditions"
    if st.button(t("conditions_of_image"), type="tertiary", icon=":material/add:", disabled=waits, key=key):
        job.request_conditions([result.index])
        st.rerun()


def answer_html(result: ImageScore) -> str:
    """The whole answer, how its score was found, seconds and notes; or why there is no score."""
    if result.problem:
        return f'<div class="answer bad"><b>{t("warning")}</b><br>{escape(problem_text(result.problem))}</div>'
    html = _yes_no(result) if result.method == "yes_no" else _generated(result)
    notes = t("comma").join(t(f"note_{code}") for code in result.notes)
    facts = filter(None, (t("seconds", seconds=f"{result.seconds:.2f}"), notes))
    return f'{html}<div class="small">{escape(t("dot").join(facts))}</div>'


def _yes_no(result: ImageScore) -> str:
    text = t("answer_yes_no", answer=result.answer, chance=f"{100 * (result.probability or 0):.1f}%")
    return f'<div class="answer">{escape(text)}</div>'


def _generated(result: ImageScore) -> str:
    unfinished = "" if result.finished else f'<span class="small">{t("unfinished")}</span>'
    answer = f'<div class="answer">{_highlighted(result)}{unfinished}</div>'
    if result.parsed is None:
        return answer
    if result.parsed.tier == "default":
        return f'<div class="bad"><b>{t("no_score")}</b><br>{t("no_number")}</div>{answer}'
    tier = t(f"tier_{result.parsed.tier}")
    rule = escape(t("pattern", rule=rule_name(result.parsed.rule)))
    return f'{answer}<div class="small">{tier}<br>{rule}</div>'


def _highlighted(result: ImageScore) -> str:
    answer, span = result.answer, result.parsed.span if result.parsed else None
    start, end = span or (0, 0)
    mark = f"<mark>{escape(answer[start:end])}</mark>" if span else ""
    return f"{escape(answer[:start])}{mark}{escape(answer[end:])}"
