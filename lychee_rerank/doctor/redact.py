"""Redaction of facts about a machine, so that they can be pasted in public."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any


def redact(facts: Any, home: Path | None = None, users: Collection[str] | None = None) -> Any:
    """A tree of dataclasses and tuples whose texts have "~" for the home directory, "<user>" for a user in paths."""
    home = home or Path(os.path.expanduser("~"))  # unlike Path.home(), it never raises
    if users is None:
        users = {home.name, *(os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME"))} - {"", "~"}
    if isinstance(facts, str):
        return _redact_text(facts, home, users)
    if isinstance(facts, tuple):
        return tuple(redact(entry, home, users) for entry in facts)
    if is_dataclass(facts) and not isinstance(facts, type):
        return replace(
            facts, **{entry.name: redact(getattr(facts, entry.name), home, users) for entry in fields(facts)}
        )
    return facts


def _redact_text(text: str, home: Path, users: Collection[str]) -> str:
    for folder in {str(home), home.as_posix(), str(home.resolve())} - {"/"}:  # the home directory of some containers
        text = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?![\w.-])", "~", text, flags=re.IGNORECASE)
    for user in map(re.escape, users):
        path_part = rf"(?<=[/\\]){user}(?![\w.-])|(?<![\w.-]){user}(?=[/\\])|\A{user}\Z"
        text = re.sub(path_part, "<user>", text, flags=re.IGNORECASE)
    return text
