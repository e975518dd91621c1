"""The settings of the sidebar, kept when they change and given to the widgets of a new tab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from lychee_rerank.errors import CheckpointError
from lychee_rerank.images.resize import Fit
from lychee_rerank.rankings.archive import Archive
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.ui.state import Settings
from lychee_rerank.weights.hub import is_http_url
from lychee_rerank.weights.locate import Checkpoint, resolve_checkpoint

METHODS: tuple[Literal["auto", "generate", "yes_no"], ...] = ("auto", "generate", "yes_no")
FITS: tuple[Fit, ...] = ("crop", "whole")
MAX_RESERVE_GIB = 16.0
_SETTINGS = "saved-settings"  # session key of what this tab read or saved last


def restore(archive: Archive, checkpoints: Sequence[Checkpoint]) -> None:
    """Give the widgets of a new tab the settings kept last, and the defaults for those that cannot be used now.

    `checkpoints`: those that can be chosen.
    """
    if _SETTINGS not in st.session_state:
        kept = archive.settings()
        models = ("auto", "demo", *(str(checkpoint.path) for checkpoint in checkpoints))
        valid = {key: value for key, value in kept.items() if _is_valid(key, value, models)}
        st.session_state[_SETTINGS] = _defaults() | valid
    for key, value in st.session_state[_SETTINGS].items():
        st.session_state.setdefault(key, value)


def save(archive: Archive) -> None:
    """Keep the settings of this tab if they have changed."""
    values = {key: st.session_state[key] for key in _defaults()}
    if values != st.session_state[_SETTINGS]:
        st.session_state[_SETTINGS] = values
        archive.save_settings(values)


def _defaults() -> dict[str, object]:
    """By the keys of the widgets."""
    settings = Settings()
    return {
        "model": settings.model,
        "model-other": "",
        "method": settings.method,
        "fit": settings.fit,
        "reasons": settings.reasons,
        "conditions": settings.conditions,
        "instruction": DEFAULT_INSTRUCTION,
        "normalize": settings.normalize,
        "reserve": settings.reserve_gib,
    }


def _is_valid(key: str, value: object, models: Sequence[str]) -> bool:
    """Whether a kept setting can be used: another version may have written it, and models come and go."""
    match key, value:
        case "model", str():
            return value in models
        case "model-other", str():
            return not value or is_http_url(value) or _exists(value)
        case "method", str():
            return value in METHODS
        case "fit", str():
            return value in FITS
        case "reserve", float():
            return 0 <= value <= MAX_RESERVE_GIB
        case ("instruction", str()) | ("reasons" | "conditions" | "normalize", bool()):
            return True
    return False


def _exists(model: str) -> bool:
    try:
        resolve_checkpoint(model)
    except CheckpointError:
        return False
    return True
