"""The tensors in weight files, read from their headers alone, and whether they fit config.json. No torch."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from lychee_rerank.errors import CheckpointError

Shape = tuple[int, ...]
Blocks = dict[str, dict[int, tuple[str, Shape]]]  # tensor name within a block -> block number -> full name and shape

_MAX_HEADER_BYTES = 100 * 1024 * 1024  # the limit of the safetensors library
_DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
# Both layouts in circulation: "model.layers.0.", "model.language_model.layers.0.", "visual.blocks.0.".
_BLOCK = re.compile(r"(?P<kind>visual\.blocks|(?:model|language_model)\.layers)\.(?P<number>\d+)\.(?P<rest>.+)")
_TITLES = {"visual.blocks": "vision blocks", "layers": "decoder blocks"}
# Where config.json leaves one out, transformers would take it from another model of the family.
_REQUIRED_SIZES = {
    "hidden_size": "how wide the model is",
    "intermediate_size": "how wide its blocks are",
    "num_hidden_layers": "how many blocks it has",
    "num_attention_heads": "how many attention heads it has",
}


def read_tensor_shapes(file: Path) -> dict[str, Shape]:
    """The tensors of a safetensors file. Raises CheckpointError, with what is wrong, where it is not whole."""
    header, data_bytes = _read_header(file)
    try:
        spans = {name: _span(name, entry, file.name) for name, entry in header.items() if name != "__metadata__"}
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(file) from error
    ordered = sorted(spans.values())
    expected_bytes = ordered[-1][1] if ordered else 0
    if data_bytes != expected_bytes:
        size = file.stat().st_size
        raise CheckpointError(f"{file.name} has {size} bytes and should have {size - data_bytes + expected_bytes}")
    if any(previous[1] != following[0] for previous, following in pairwise([(0, 0), *ordered])):
        raise CheckpointError(f"{file.name} is damaged: its tensors do not lie one behind the other")
    return {name: tuple(header[name]["shape"]) for name in spans}


def check_against_config(shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each thing that config.json leaves open, or says otherwise than the weights."""
    text, vision = _text_config(config), config.get("vision_config")
    vision_blocks = _blocks(shapes, "visual.blocks")
    # transformers 4.49 left out of vision_config whatever is as in the family's first model, the depth too.
    depth: Any = vision.get("depth", len(_numbers(vision_blocks))) if isinstance(vision, dict) else None
    if not _is_count(depth):
        yield "config.json does not say how many blocks the vision tower has (vision_config, depth)"
    elif missing := [name for name in _REQUIRED_SIZES if not _is_count(text.get(name))]:
        yield f"config.json does not say {_REQUIRED_SIZES[missing[0]]} ({missing[0]})"
    elif not (text.get("rope_scaling") or text.get("rope_parameters")):
        yield "config.json does not say how the model encodes positions (rope_scaling)"
    else:
        yield from _check_blocks(_blocks(shapes, "layers"), "layers", text["num_hidden_layers"])
        yield from _check_blocks(vision_blocks, "visual.blocks", depth)
        yield from _check_embeddings(shapes, text)


def _read_header(file: Path) -> tuple[dict[str, Any], int]:
    """The header, and how many bytes follow it."""
    try:
        with file.open("rb") as content:
            start = content.read(8)
            if len(start) < 8:
                raise CheckpointError(f"{file.name} is empty or cut short ({len(start)} bytes)")
            if start.startswith(b"version "):
                raise CheckpointError(f"{file.name} is only a pointer of git-lfs; the file itself was not fetched")
            (length,) = struct.unpack("<Q", start)
            header = json.loads(content.read(length)) if length <= _MAX_HEADER_BYTES else None
        data_bytes = file.stat().st_size - 8 - length
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file) from error
    if not isinstance(header, dict):
        raise _damaged(file)
    return header, data_bytes


def _span(name: str, entry: Any, file: str) -> tuple[int, int]:
    """Start and end of a tensor. Raises LookupError, TypeError or ValueError for what is no description of one."""
    shape, (start, end), dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    if dtype not in _DTYPE_BYTES:
        raise CheckpointError(f"{file} holds {name} as {dtype}, which is not loaded")
    if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
        raise ValueError(name)
    if end - start != math.prod(shape) * _DTYPE_BYTES[dtype]:
        raise CheckpointError(f"{file} is damaged: {name} has {end - start} bytes, which is not what its shape needs")
    return start, end


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(f"{file.name} is not a safetensors file, or its start is damaged")


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The decoder's part of the configuration, which older checkpoints keep at the top."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _blocks(shapes: Mapping[str, Shape], kind: str) -> Blocks:
    blocks: Blocks = {}
    for name, shape in shapes.items():
        match = _BLOCK.search(name)
        if match and match["kind"].endswith(kind):
            blocks.setdefault(match["rest"], {})[int(match["number"])] = name, shape
    return blocks


def _numbers(blocks: Blocks) -> set[int]:
    return set().union(*blocks.values())


def _check_blocks(blocks: Blocks, kind: str, expected: int) -> Iterator[str]:
    """As many as expected, each with the same tensors in the same shapes; only the first difference is reported."""
    numbers = _numbers(blocks)
    if numbers != set(range(expected)):
        yield f"config.json promises {expected} {_TITLES[kind]}, and the weights hold {len(numbers)}"
        return
    for tensors in blocks.values():
        if missing := numbers - set(tensors):
            number, (name, _) = next(iter(tensors.items()))
            yield f"the weights do not hold {name.replace(f'.{number}.', f'.{min(missing)}.', 1)}"
            return
        shapes = [shape for _, shape in tensors.values()]
        usual = max(shapes, key=shapes.count)
        if deviating := [name for name, shape in tensors.values() if shape != usual]:
            yield f"{deviating[0]} has not the shape that it has in other blocks"
            return


def _check_embeddings(shapes: Mapping[str, Shape], text: Mapping[str, Any]) -> Iterator[str]:
    shape = next((shape for name, shape in shapes.items() if name.endswith("embed_tokens.weight")), None)
    if shape is None:
        yield "the weights do not hold the embeddings (embed_tokens.weight)"
        return
    expected = (text.get("vocab_size", shape[0]), text["hidden_size"])
    if shape != expected:
        yield f"config.json promises embeddings of {_format(expected)}, and the weights hold {_format(shape)}"


def _format(shape: Iterable[object]) -> str:
    return " x ".join(map(str, shape))
