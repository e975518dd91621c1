"""Making facts about a machine fit to be pasted where anyone reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TypeVar

Facts = TypeVar("Facts")


def without_names(facts: Facts, home: Path | None = None, people: Collection[str] | None = None) -> Facts:
    """A dataclass tree, a text, or a tuple of them with the home directory as ~ and the person's name taken out of
    paths and hub ids.
    """
    home = home or Path.home()
    people = _people(home) if people is None else people
    if isinstance(facts, str):
        return _cleaned(facts, home, people)  # type: ignore[return-value]
    if isinstance(facts, tuple):
        return tuple(without_names(each, home, people) for each in facts)  # type: ignore[return-value]
    if is_dataclass(facts) and not isinstance(facts, type):
        return replace(
            facts, **{each.name: without_names(getattr(facts, each.name), home, people) for each in fields(facts)}
        )
    return facts


def _people(home: Path) -> set[str]:
    """What the person is called on this machine."""
    return {home.name, *(os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME"))} - {""}


def _cleaned(text: str, home: Path, people: Collection[str]) -> str:
    for folder in {str(home), home.as_posix(), str(home.resolve())}:
        if len(folder) > 1:  # in some containers a person's home is "/"
            text = re.sub(rf"{re.escape(folder)}(?![\w.-])", "~", text, flags=re.IGNORECASE)
    for person in map(re.escape, people):
        named = rf"(?<=[/\\]){person}(?![\w.-])|(?<![\w.-]){person}(?=[/\\])|\A{person}\Z"
        text = re.sub(named, "<user>", text, flags=re.IGNORECASE)
    return text
