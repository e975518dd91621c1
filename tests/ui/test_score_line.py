"""The color of a score."""

from __future__ import annotations

import pytest

from lychee_rerank.ui.score_line import score_class


@pytest.mark.parametrize(
    ("score", "css_class"), [(0.0, "low"), (5.9, "low"), (6.0, "fair"), (8.0, "fair"), (8.1, "good"), (10.0, "good")]
)
def test_scores_are_gray_below_6_blue_to_8_and_green_above(score: float, css_class: str) -> None:
    assert score_class(score) == css_class
