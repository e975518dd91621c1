"""Every location where checkpoints are searched, in order, and what is there. Plain data, for people to read."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.cache import huggingface_root, modelscope_root
from lychee_rerank.weights.locate import Checkpoint, list_checkpoints, resolve_checkpoint


@dataclass(frozen=True)
class FoundCheckpoint:
    """size: bytes of its weights. problems: one sentence for each thing that is wrong with it."""

    name: str
    path: str
    size: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchLocation:
    """source: "argument" for what a person or LYCHEE_MODEL names, else as in `Checkpoint`. folder: need not exist."""

    source: str
    folder: str
    checkpoints: tuple[FoundCheckpoint, ...] = ()


def search_locations(model: str = "auto") -> tuple[Checkpoint | None, tuple[SearchLocation, ...]]:
    """The checkpoint that `find_checkpoint(model)` would give, None if it would raise; all locations, the demo last."""
    if model == "auto":
        model = os.environ.get("LYCHEE_MODEL", "").strip() or model
    checkpoint = None
    try:
        checkpoint = resolve_checkpoint(model)
        requested = _describe(checkpoint)
    except CheckpointError as error:
        requested = FoundCheckpoint(model, model, 0, (str(error),))
    argument = SearchLocation("argument", "") if model == "auto" else SearchLocation("argument", model, (requested,))
    checkpoints = list_checkpoints()
    folders = {"huggingface": str(huggingface_root()), "modelscope": str(modelscope_root()), "demo": ""}
    locations = [
        SearchLocation(source, folder, tuple(_describe(entry) for entry in checkpoints if entry.source == source))
        for source, folder in folders.items()
    ]
    return None if checkpoint and checkpoint.problems else checkpoint, (argument, *locations)


def _describe(checkpoint: Checkpoint) -> FoundCheckpoint:
    return FoundCheckpoint(checkpoint.name, str(checkpoint.path), checkpoint.size, checkpoint.problems)
