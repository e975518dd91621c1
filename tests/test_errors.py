"""Errors and problems as sentences."""

from __future__ import annotations

import inspect
import re

import pytest

from lychee_rerank import errors
from lychee_rerank.errors import LycheeError, PictureProblem

CODES = re.findall(r'"(\w+)"', str(PictureProblem.__doc__))


def test_the_documented_codes_are_those_that_have_a_message() -> None:
    assert sorted(CODES) == sorted(errors._MESSAGES)


@pytest.mark.parametrize("code", CODES)
def test_every_problem_is_one_sentence(code: str) -> None:
    text = str(PictureProblem(code, width=1, height=2, size=3, limit=4, detail="odd data"))
    assert text.endswith(".") and "\n" not in text and "None" not in text


def test_the_drawn_tree_holds_every_error() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LycheeError)]
    assert all(kind.__name__ in str(errors.__doc__) for kind in classes)
