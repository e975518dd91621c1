"""Edits that damage a checkpoint folder in the published layout, each a function of the folder."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import find_checkpoint
from lychee_rerank.weights.validate import INDEX, validate_checkpoint

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))

Edit = Callable[[Path], object]


def assert_problem(folder: Path, edit: Edit, phrase: str) -> None:
    """After the edit, a problem holds the phrase, and the checkpoint is refused with it."""
    edit(folder)
    problems = list(validate_checkpoint(folder))
    assert any(phrase in problem for problem in problems), problems
    with pytest.raises(CheckpointError, match="cannot be used") as refused:
        find_checkpoint(str(folder))
    assert phrase in str(refused.value)


def cut(name: str, size: int) -> Edit:
    """Only the first `size` bytes stay; a negative size counts from the end."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def write(name: str, text: str) -> Edit:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def prepend(name: str, prefix: bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes(prefix + (folder / name).read_bytes())


def append(name: str, suffix: bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + suffix)


def remove(*names: str) -> Edit:
    return lambda folder: [(folder / name).unlink() for name in names]


def replace_by_folder(name: str) -> Edit:
    return lambda folder: (folder / name).unlink() or (folder / name).mkdir()


def link_to_nowhere(name: str) -> Edit:
    return lambda folder: (folder / name).unlink() or (folder / name).symlink_to("../../blobs/gone")


def edit_json(name: str, change: Callable[[dict[str, Any]], object]) -> Edit:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        change(content)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return edit


def set_values(name: str, **values: object) -> Edit:
    """Values in a JSON file; None removes one."""

    def change(content: dict[str, Any]) -> None:
        content.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del content[key]

    return edit_json(name, change)


def name_in_index(shard: str) -> Edit:
    """Another name for the first shard in the index."""

    def change(index: dict[str, Any]) -> None:
        weight_map = index["weight_map"]
        weight_map |= {tensor: shard for tensor, file in weight_map.items() if file == FIRST}

    return edit_json(INDEX, change)


def edit_header(change: Callable[[dict[str, Any]], object], *shards: str) -> Edit:
    """The headers of weight files, by default of the first shard; the weights stay."""

    def edit(folder: Path) -> None:
        for shard in shards or (FIRST,):
            raw = (folder / shard).read_bytes()
            (length,) = struct.unpack("<Q", raw[:8])
            header = json.loads(raw[8 : 8 + length])
            change(header)
            changed = json.dumps(header).encode()
            (folder / shard).write_bytes(struct.pack("<Q", len(changed)) + changed + raw[8 + length :])

    return edit


def add_tensor(entry: object) -> Edit:
    """A tensor named "odd" in the header of the first shard."""
    return edit_header(lambda header: header.update(odd=entry))


def copy_of(checkpoint: Path, target: Path) -> Path:
    return Path(shutil.copytree(checkpoint, target))
