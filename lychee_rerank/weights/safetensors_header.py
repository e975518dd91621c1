"""What weight files hold, read from their headers alone, and whether that is what config.json promises. No torch."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lychee_rerank.errors import CheckpointError

Shape = tuple[int, ...]
Span = tuple[int, int]

_HEADER_LIMIT = 100 * 1024 * 1024
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
# Both layouts in circulation: "model.layers.0.", "model.language_model.layers.0.", "visual.blocks.0.".
_BLOCK = re.compile(r"(?P<kind>visual\.blocks|(?:model|language_model)\.layers)\.(?P<number>\d+)\.(?P<rest>.+)")
_COUNTED = {"visual.blocks": "vision blocks", "layers": "decoder blocks"}


@dataclass(frozen=True)
class _Blocks:
    """The blocks of one kind: for each tensor of a block its shape, by the number of the block."""

    numbers: frozenset[int]
    shapes: Mapping[str, Mapping[int, tuple[str, Shape]]]


def read_tensor_shapes(file: Path) -> dict[str, Shape]:
    """The tensors of a safetensors file. Raises CheckpointError, with what is wrong, where it is not whole."""
    header, rest = _header(file)
    try:
        spans = {name: _span(name, entry, file.name) for name, entry in header.items() if name != "__metadata__"}
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(file) from error
    ordered = sorted(spans.values())
    size = ordered[-1][1] if ordered else 0
    if rest != size:
        start = file.stat().st_size - rest
        raise CheckpointError(f"{file.name} has {start + rest} bytes and should have {start + size}")
    if any(before[1] != after[0] for before, after in pairwise([(0, 0), *ordered])):
        raise CheckpointError(f"{file.name} is damaged: its tensors do not lie one behind the other")
    return {name: tuple(header[name]["shape"]) for name in spans}


def check_against_config(shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> Iterator[str]:
    """What config.json leaves open, or says of the model and the weights do not bear out: one sentence each."""
    text, vision = _text(config), config.get("vision_config")
    towers = _blocks(shapes, "visual.blocks")
    # transformers 4.49 left out of vision_config whatever is as in the family's first model, the depth too.
    depth: Any = vision.get("depth", len(towers.numbers)) if isinstance(vision, dict) else None
    if not _is_count(depth):
        yield "config.json does not say how many blocks the vision tower has (vision_config, depth)"
    elif wrong := [name for name in _SIZES if not _is_count(text.get(name))]:
        yield f"config.json does not say {_SIZES[wrong[0]]} ({wrong[0]})"
    elif not (text.get("rope_scaling") or text.get("rope_parameters")):
        yield "config.json does not say how the model tells places apart (rope_scaling)"
    else:
        yield from _check_blocks(_blocks(shapes, "layers"), "layers", text["num_hidden_layers"])
        yield from _check_blocks(towers, "visual.blocks", depth)
        yield from _check_embeddings(shapes, text)


# What would be taken from another model of the family if config.json left it out.
_SIZES = {
    "hidden_size": "how wide the model is",
    "intermediate_size": "how wide its blocks are",
    "num_hidden_layers": "how many blocks it has",
    "num_attention_heads": "how many attention heads it has",
}


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header, and how many bytes follow it."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
            if len(start) < 8:
                raise CheckpointError(f"{file.name} is empty or cut short ({len(start)} bytes)")
            if start.startswith(b"version "):
                raise CheckpointError(f"{file.name} is only a pointer of git-lfs; the file itself was not fetched")
            (length,) = struct.unpack("<Q", start)
            header = json.loads(opened.read(length)) if length <= _HEADER_LIMIT else None
        rest = file.stat().st_size - 8 - length
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file) from error
    if not isinstance(header, dict):
        raise _damaged(file)
    return header, rest


def _span(name: str, entry: Any, file: str) -> Span:
    """Where a tensor lies. Raises LookupError, TypeError or ValueError for what is no description of one."""
    shape, (start, end), kind = entry["shape"], entry["data_offsets"], entry["dtype"]
    if kind not in _BYTES:
        raise CheckpointError(f"{file} holds {name} as {kind}, which is not loaded")
    if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
        raise ValueError(name)
    if end - start != math.prod(shape) * _BYTES[kind]:
        raise CheckpointError(f"{file} is damaged: {name} has {end - start} bytes, which is not what its shape needs")
    return start, end


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(f"{file.name} is not a safetensors file, or its start is damaged")


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The decoder's part of the configuration, which older checkpoints keep at the top."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _blocks(shapes: Mapping[str, Shape], kind: str) -> _Blocks:
    found: dict[str, dict[int, tuple[str, Shape]]] = {}
    for name, shape in shapes.items():
        match = _BLOCK.search(name)
        if match and match["kind"].endswith(kind):
            found.setdefault(match["rest"], {})[int(match["number"])] = name, shape
    return _Blocks(frozenset(number for each in found.values() for number in each), found)


def _check_blocks(blocks: _Blocks, kind: str, promised: int) -> Iterator[str]:
    """As many as promised, and each with the same tensors in the same shapes; the first that differs is told."""
    if blocks.numbers != frozenset(range(promised)):
        yield f"config.json promises {promised} {_COUNTED[kind]}, and the weights hold {len(blocks.numbers)}"
        return
    for held in blocks.shapes.values():
        if absent := blocks.numbers - set(held):
            number, (name, _) = next(iter(held.items()))
            yield f"the weights do not hold {name.replace(f'.{number}.', f'.{min(absent)}.', 1)}"
            return
        shapes = [shape for _, shape in held.values()]
        usual = max(shapes, key=shapes.count)
        if odd := [name for name, shape in held.values() if shape != usual]:
            yield f"{odd[0]} has not the shape that it has in other blocks"
            return


def _check_embeddings(shapes: Mapping[str, Shape], text: Mapping[str, Any]) -> Iterator[str]:
    held = next((shape for name, shape in shapes.items() if name.endswith("embed_tokens.weight")), None)
    if held is None:
        yield "the weights do not hold the embeddings (embed_tokens.weight)"
        return
    promised = (text.get("vocab_size", held[0]), text["hidden_size"])
    if held != promised:
        yield f"config.json promises embeddings of {_by(promised)}, and the weights hold {_by(held)}"


def _by(shape: Iterable[object]) -> str:
    return " x ".join(map(str, shape))
