"""Weight files that are damaged, or hold other tensors than config.json describes, are named without being loaded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from lychee_rerank.weights.safetensors_header import read_tensor_shapes
from lychee_rerank.weights.validate import INDEX, validate_checkpoint
from support.checkpoint_edits import (
    FIRST,
    SECOND,
    Edit,
    add_tensor,
    append,
    assert_problem,
    copy_of,
    cut,
    edit_header,
    edit_json,
    link_to_nowhere,
    replace_by_folder,
    set_values,
    write,
)

MATRIX = "layers.1.mlp.up_proj.weight"


def give_equal_shapes_one_span(header: dict[str, Any]) -> None:
    spans: dict[str, list[int]] = {}
    for entry in (entry for name, entry in header.items() if name != "__metadata__"):
        entry["data_offsets"] = spans.setdefault(str(entry["shape"]), entry["data_offsets"])


def transpose_a_matrix(header: dict[str, Any]) -> None:
    for name in (name for name in header if name.endswith(MATRIX)):
        header[name]["shape"].reverse()


def rename_a_matrix(header: dict[str, Any]) -> None:
    for name in [name for name in header if name.endswith(MATRIX)]:
        header["model.unknown"] = header.pop(name)


def without_a_matrix(folder: Path) -> None:
    """Missing from the index and, under its name, from the weights."""
    edit_json(INDEX, lambda index: index["weight_map"].pop(f"model.{MATRIX}"))(folder)
    edit_header(rename_a_matrix, FIRST, SECOND)(folder)


DAMAGES: dict[str, tuple[Edit, str]] = {
    "a shard empty": (cut(FIRST, 0), f"{FIRST} is empty or cut short"),
    "a shard of five bytes": (cut(FIRST, 5), f"{FIRST} is empty or cut short"),
    "a shard cut in its header": (cut(FIRST, 60), f"{FIRST} is not a safetensors file"),
    "a shard cut in its weights": (cut(FIRST, 30_000), f"{FIRST} has 30000 bytes and should have"),
    "a shard one byte short": (cut(SECOND, -1), f"{SECOND} has"),
    "a shard one byte long": (append(FIRST, b"x"), f"{FIRST} has"),
    "a pointer of git-lfs": (write(FIRST, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git-lfs"),
    "a web page as shard": (write(FIRST, "<html>" + "not found " * 40), f"{FIRST} is not a safetensors file"),
    "a shard that is a folder": (replace_by_folder(FIRST), f"{FIRST} cannot be read ("),
    "a shard linked to nowhere": (link_to_nowhere(SECOND), f"{SECOND} is missing"),
    "a huge header": (lambda f: (f / FIRST).write_bytes(b"\xff" * 8 + b"{}"), f"{FIRST} is not a safetensors file"),
    "a header nested without end": (
        lambda f: (f / FIRST).write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000),
        f"{FIRST} is not a safetensors file",
    ),
    "a tensor that is a number": (add_tensor(5), f"{FIRST} is not a safetensors file"),
    "a tensor before the start": (
        add_tensor({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}),
        f"{FIRST} is not a safetensors file",
    ),
    "a tensor of an unknown dtype": (
        add_tensor({"dtype": "Q9", "shape": [], "data_offsets": [0, 0]}),
        f"{FIRST} is not a safetensors file, or its start is damaged (invalid JSON",
    ),
    "a tensor of eight bits": (
        add_tensor({"dtype": "F8_E4M3", "shape": [0], "data_offsets": [0, 0]}),
        f"{FIRST} holds odd as F8_E4M3, which is not loaded",
    ),
    "a tensor too short for its shape": (
        add_tensor({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}),
        f"{FIRST} is not a safetensors file, or its start is damaged (invalid shape",
    ),
    "tensors that overlap": (
        edit_header(give_equal_shapes_one_span),
        f"{FIRST} is not a safetensors file, or its start is damaged (invalid offset",
    ),
    "a matrix transposed": (edit_header(transpose_a_matrix, FIRST, SECOND), f"{MATRIX} has not the shape"),
    "a matrix missing": (without_a_matrix, f"the weights do not hold model.{MATRIX}"),
    "another vocabulary": (set_values("config.json", vocab_size=5000), "embeddings of 5000 x 96, and the weights hold"),
    "more blocks than weights": (
        set_values("config.json", num_hidden_layers=9),
        "9 decoder blocks, and the weights hold 3",
    ),
    "fewer blocks than weights": (
        set_values("config.json", num_hidden_layers=2),
        "2 decoder blocks, and the weights hold 3",
    ),
    "a negative number of blocks": (set_values("config.json", num_hidden_layers=-1), "(num_hidden_layers)"),
    "a width left out": (set_values("config.json", hidden_size=None), "how wide the model is (hidden_size)"),
    "no vision tower": (set_values("config.json", vision_config=None), "(vision_config, depth)"),
    "no rotary positions": (set_values("config.json", rope_scaling=None), "(rope_scaling)"),
}


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return copy_of(published, tmp_path / "copy")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_named(folder: Path, damage: str) -> None:
    assert_problem(folder, *DAMAGES[damage])


def test_shapes_are_read_from_the_header(folder: Path) -> None:
    shapes = read_tensor_shapes(folder / FIRST) | read_tensor_shapes(folder / SECOND)
    assert shapes["model.embed_tokens.weight"][1] == 96


def test_a_vision_tower_like_the_familys_first_need_not_say_how_deep_it_is(folder: Path) -> None:
    """transformers 4.49, which wrote the published checkpoint, left such values out."""

    def leave_out(config: dict[str, Any]) -> None:
        config["vision_config"] = {name: config["vision_config"][name] for name in ("hidden_size", "in_chans")}

    edit_json("config.json", leave_out)(folder)
    assert list(validate_checkpoint(folder)) == []
