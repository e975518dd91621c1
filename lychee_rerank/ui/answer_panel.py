"""What the model answered about one picture: folded away, whole, with the score marked where it was found."""

from __future__ import annotations

from html import escape

import streamlit as st

from lychee_rerank.rankings.job import Job
from lychee_rerank.results import ImageScore
from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.library import Item


def show(job: Job[Item], result: ImageScore, name: str, language: Language) -> None:
    """The folded answer; unfolded from the start where there is no valid score."""
    useless = result.problem is not None or (result.parsed is not None and result.parsed.tier == "default")
    with st.expander(text(language, "output"), expanded=useless, key=f"answer-{job.started}-{name}", on_change="rerun"):
        st.html(_problem(result, language) if result.problem else _answer(result, language))


def _problem(result: ImageScore, language: Language) -> str:
    assert result.problem is not None
    reason = escape(texts.problem(language, result.problem))
    return f'<div class="answer bad"><b>{text(language, "warning")}</b><br>{reason}</div>'


def _answer(result: ImageScore, language: Language) -> str:
    parts = [f'<div class="answer">{_marked(result)}{_unfinished(result, language)}</div>']
    if result.probability is not None:
        chance = f"{100 * result.probability:.1f}%"
        parts = [
            f'<div class="answer">{escape(text(language, "answer_yes_no", answer=result.answer, chance=chance))}</div>'
        ]
    elif result.parsed and result.parsed.tier == "default":
        parts.insert(0, f'<div class="bad"><b>{text(language, "no_score")}</b><br>{text(language, "no_number")}</div>')
    elif result.parsed:
        parts.append(f'<div class="small">{text(language, "tier_" + result.parsed.tier)}</div>')
    notes = "；".join(texts.note(language, code) for code in result.notes)
    took = text(language, "seconds", seconds=f"{result.seconds:.2f}")
    parts.append(f'<div class="small">{escape("　".join(filter(None, (took, notes))))}</div>')
    return "".join(parts)


def _marked(result: ImageScore) -> str:
    span = result.parsed.span if result.parsed else None
    if span is None:
        return escape(result.answer)
    start, end = span
    answer = result.answer
    return f"{escape(answer[:start])}<mark>{escape(answer[start:end])}</mark>{escape(answer[end:])}"


def _unfinished(result: ImageScore, language: Language) -> str:
    return "" if result.finished else f'<span class="small">{text(language, "unfinished")}</span>'
