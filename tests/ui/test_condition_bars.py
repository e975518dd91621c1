"""The bars of a query's conditions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lychee_rerank.errors import PictureProblem
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.ui.condition_bars import condition_bars
from lychee_rerank.ui.i18n import Language


@pytest.fixture(autouse=True)
def chinese(speak: Callable[[Language], None]) -> None:
    speak("zh")


def bars(*conditions: ConditionScore) -> str:
    return condition_bars(ImageScore(0, "a.png", 5.0, "generate", conditions=conditions))


def test_an_image_without_conditions_has_no_bars() -> None:
    assert bars() == ""


def test_a_bar_is_as_long_as_its_score_in_the_color_of_the_score_beside_its_number() -> None:
    html = bars(ConditionScore("连衣裙", 9.1), ConditionScore("海边", 6.25), ConditionScore("微笑", 0.0))
    for text, css_class, width, number in (("连衣裙", "good", 91, "9.1"), ("海边", "fair", 62, "6.2")):
        assert f'<dt title="{text}">{text}</dt><dd class="bar {css_class}" aria-hidden="true">' in html
        assert f'<i style="width: {width}%"></i></dd><dd>{number}</dd>' in html
    assert '<dd class="bar low" aria-hidden="true"><i style="width: 0%"></i></dd>' in html


def test_the_weakest_is_marked_by_a_word() -> None:
    html = bars(ConditionScore("海边", 8.0), ConditionScore("微笑", 3.0), ConditionScore("阳光", 3.01))
    assert html.count("最弱") == 1
    assert '<dt class="weakest" title="微笑">' in html
    assert '<dd class="weakest"><small>最弱</small> 3.0</dd>' in html


def test_none_is_weakest_where_all_numbers_are_the_same() -> None:
    assert "weakest" not in bars(ConditionScore("海边", 8.01), ConditionScore("微笑", 8.04))


def test_a_condition_without_a_score_says_why_and_is_not_the_weakest() -> None:
    html = bars(ConditionScore("海边", 0.0, PictureProblem("out_of_memory")), ConditionScore("微笑", 3.0))
    assert '<dd class="bad">内存不足，重试后仍失败</dd>' in html
    assert html.count('class="bar') == 1
    assert "weakest" not in html


def test_conditions_are_shown_as_text() -> None:
    assert bars(ConditionScore('<b> "x"', 1.0)).startswith(
        '<dl class="conditions"><dt title="&lt;b&gt; &quot;x&quot;">&lt;b&gt; &quot;x&quot;</dt>'
    )
