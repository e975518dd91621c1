"""The tensors in weight files, read from their headers alone, and whether they fit config.json. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lychee_rerank.errors import CheckpointError

Shape = tuple[int, ...]
Blocks = dict[tuple[str, str], dict[int, Shape]]  # tensor name before and after its block's number -> number -> shape

_DTYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"})
# Both layouts in circulation: "model.layers.0.", "model.language_model.layers.0.", "visual.blocks.0.".
_BLOCK = re.compile(r"(?P<kind>visual\.blocks|(?:model|language_model)\.layers)\.(?P<number>\d+)\.")
# Where config.json leaves one out, transformers would take it from another model of the family.
_REQUIRED_SIZES = {
    "hidden_size": "how wide the model is",
    "intermediate_size": "how wide its blocks are",
    "num_hidden_layers": "how many blocks it has",
    "num_attention_heads": "how many attention heads it has",
}


def read_tensor_shapes(file: Path) -> dict[str, Shape]:
    """The tensors of a safetensors file. Raises CheckpointError, with what is wrong, where it is not whole."""
    check_not_special(file)
    try:
        with safe_open(file, "numpy") as content:
            tensors = {name: content.get_slice(name) for name in content.keys()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file.name} cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise CheckpointError(f"{file.name} {_describe_damage(file, str(error))}") from error
    for name, tensor in tensors.items():
        if tensor.get_dtype() not in _DTYPES:
            raise CheckpointError(f"{file.name} holds {name} as {tensor.get_dtype()}, which is not loaded")
    return {name: tuple(tensor.get_shape()) for name, tensor in tensors.items()}


def check_not_special(file: Path) -> None:
    """Raises CheckpointError for a named pipe, a socket or a device, which could keep the reader waiting for ever."""
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise CheckpointError(f"{file.name} is not a regular file")


def _describe_damage(file: Path, reason: str) -> str:
    """What a person can do something about, else the library's reason."""
    with file.open("rb") as content:
        start = content.read(8)
        if len(start) < 8:
            return f"is empty or cut short ({len(start)} bytes)"
        if start == b"version ":
            return "is only a pointer of git-lfs; the file itself was not fetched"
        if "not fully covered" in reason:
            length = int.from_bytes(start, "little")
            header = json.loads(content.read(length))
            ends = (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
            return f"has {file.stat().st_size} bytes and should have {8 + length + max(ends, default=0)}"
    reason = reason.removeprefix("Error while deserializing header: ")
    return f"is not a safetensors file, or its start is damaged ({reason:.80})"


def check_against_config(shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each thing that config.json leaves open, or says otherwise than the weights."""
    nested, vision = config.get("text_config"), config.get("vision_config")
    text = nested if isinstance(nested, dict) else config  # older checkpoints keep the decoder's part at the top
    decoder_blocks, vision_blocks = _blocks(shapes, "layers"), _blocks(shapes, "visual.blocks")
    # transformers 4.49 left out of vision_config whatever is as in the family's first model, the depth too.
    depth: Any = vision.get("depth", len(_numbers(vision_blocks))) if isinstance(vision, dict) else None
    if not _is_count(depth):
        yield "config.json does not say how many blocks the vision tower has (vision_config, depth)"
    elif missing := [name for name in _REQUIRED_SIZES if not _is_count(text.get(name))]:
        yield f"config.json does not say {_REQUIRED_SIZES[missing[0]]} ({missing[0]})"
    elif not (text.get("rope_scaling") or text.get("rope_parameters")):
        yield "config.json does not say how the model encodes positions (rope_scaling)"
    else:
        yield from _check_blocks(decoder_blocks, "decoder blocks", text["num_hidden_layers"])
        yield from _check_blocks(vision_blocks, "vision blocks", depth)
        yield from _check_embeddings(shapes, text)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _blocks(shapes: Mapping[str, Shape], kind: str) -> Blocks:
    blocks: Blocks = {}
    for name, shape in shapes.items():
        match = _BLOCK.search(name)
        if match and match["kind"].endswith(kind):
            start, end = match.span("number")
            blocks.setdefault((name[:start], name[end:]), {})[int(match["number"])] = shape
    return blocks


def _numbers(blocks: Blocks) -> set[int]:
    return set().union(*blocks.values())


def _check_blocks(blocks: Blocks, title: str, expected: int) -> Iterator[str]:
    """As many as expected, each with the same tensors in the same shapes; only the first difference is reported."""
    numbers = _numbers(blocks)
    if numbers != set(range(expected)):
        yield f"config.json promises {expected} {title}, and the weights hold {len(numbers)}"
        return
    for (prefix, suffix), by_number in blocks.items():
        if missing := numbers - set(by_number):
            yield f"the weights do not hold {prefix}{min(missing)}{suffix}"
            return
        shapes = list(by_number.values())
        usual = max(shapes, key=shapes.count)
        if deviating := [number for number, shape in by_number.items() if shape != usual]:
            yield f"{prefix}{deviating[0]}{suffix} has not the shape that it has in other blocks"
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
