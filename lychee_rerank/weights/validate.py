"""What is wrong with a checkpoint folder, one sentence for each thing, before anything is loaded; of weight files, only
the headers are read.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights import families
from lychee_rerank.weights.safetensors_header import Shape, check_against_config, read_tensor_shapes

INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Read by the libraries that load the model, where present.
_OPTIONAL = ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json")


def validate_checkpoint(folder: Path) -> Iterator[str]:
    """One sentence for each thing that keeps a checkpoint folder from being loaded."""
    if not folder.is_dir():
        yield f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}"
        return
    try:
        config, problems = read_json(folder / "config.json")
        yield from problems or _check_config(config)
        yield from _check_weights(folder, {} if problems else config)
        yield from _check_tokenizer(folder)
        yield from _check_processor(folder, config)
        yield from _check_template(folder)
        for name in _OPTIONAL:
            if os.path.lexists(folder / name):
                yield from read_json(folder / name)[1]
    except PermissionError as error:
        yield f"{folder} cannot be read ({error.strerror})"


def read_json(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The object in a file, or else what is wrong with it."""
    raw = b""
    try:
        raw = file.read_bytes()
        content = json.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        return {}, [f"{file.name} is missing"]
    except OSError as error:
        return {}, [f"{file.name} cannot be read ({error.strerror})"]
    except (ValueError, RecursionError):
        return {}, [f"{file.name} {_describe_invalid_json(raw)}"]
    return (content, []) if isinstance(content, dict) else ({}, [f"{file.name} does not hold an object"])


def image_processor_config(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """How images are cut into patches, or else what is wrong with the file that says it.

    As in transformers: the "image_processor" of processor_config.json, which today's version writes, comes before
    preprocessor_config.json.
    """
    if os.path.lexists(folder / "processor_config.json"):  # a link to nowhere is a file that is missing
        content, problems = read_json(folder / "processor_config.json")
        nested = content.get("image_processor")
        if problems or isinstance(nested, dict):
            return nested or {}, problems
    return read_json(folder / "preprocessor_config.json")


def read_chat_template(folder: Path) -> str | None:
    """The template in chat_template.jinja, else in chat_template.json, else in tokenizer_config.json.

    Raises CheckpointError, with a phrase for a list of problems, where a file cannot be read or holds no text.
    """
    modern = folder / "chat_template.jinja"
    try:
        if modern.exists():
            return modern.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise CheckpointError(f"{modern.name} cannot be read ({reason})") from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        content, problems = read_json(folder / name) if (folder / name).exists() else ({}, [])
        if problems:
            raise CheckpointError(problems[0])
        template = content.get("chat_template")
        if isinstance(template, str):
            return template
        if template is not None:
            raise CheckpointError(f"the chat template in {name} is not text")
    return None


def _describe_invalid_json(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark: save it as UTF-8 without one"
    if raw.startswith(b"version https://git-lfs"):
        return "is only a pointer of git-lfs; the file itself was not fetched"
    return "cannot be read as JSON"


def _check_config(config: Mapping[str, Any]) -> Iterator[str]:
    architectures = families.architectures(config)
    family = families.find_family(architectures)
    if family is None:
        titles = " or ".join(family.title for family in families.FAMILIES)
        yield f"config.json describes {architectures[0] if architectures else 'nothing':.80}, not a {titles}"
    elif config.get("model_type", family.model_type) != family.model_type:
        yield f"config.json describes a {family.title}, and also says model_type {config['model_type']!r:.40}"
    if quantization := config.get("quantization_config"):
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        yield f"its weights are quantized ({method or 'in an unknown way'}); only plain ones are loaded"


def _check_weights(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    shards, problems = _expected_shards(folder)
    shapes: dict[str, Shape] = {}
    for name in sorted(shards):
        try:
            shapes |= _read_shard(folder, name, shards[name])
        except CheckpointError as error:
            problems.append(str(error))
    yield from problems
    if not problems and families.find_family(families.architectures(config)):
        yield from check_against_config(shapes, config)


def _expected_shards(folder: Path) -> tuple[dict[str, set[str]], list[str]]:
    """The weight files there should be, each with the tensors that the index lists for it, and what is wrong."""
    if not os.path.lexists(folder / INDEX):
        single = "model.safetensors"
        return ({single: set()}, []) if os.path.lexists(folder / single) else ({}, [_explain_no_weights(folder)])
    index, problems = read_json(folder / INDEX)
    weight_map = index.get("weight_map")
    shards: dict[str, set[str]] = defaultdict(set)
    for tensor, shard in weight_map.items() if isinstance(weight_map, dict) else ():
        shards[str(shard)].add(tensor)
    return shards, problems or ([] if shards else [f"{INDEX} names no weights"])


def _read_shard(folder: Path, name: str, expected: Collection[str]) -> dict[str, Shape]:
    if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        raise CheckpointError(f'{INDEX} names "{name:.80}", which is no safetensors file of this folder')
    shapes = read_tensor_shapes(folder / name)
    if missing := set(expected) - set(shapes):
        raise CheckpointError(f"{name} does not hold {min(missing)}")
    return shapes


def _explain_no_weights(folder: Path) -> str:
    if any(any(folder.glob(pattern)) for pattern in _PICKLES):
        return "its weights are not safetensors, the only kind that is loaded"
    if (folder / "adapter_config.json").exists():
        return "it holds only an adapter (LoRA): merge it into its base model first"
    if any(folder.glob("*.gguf")):
        return "its weights are GGUF, and only safetensors are loaded"
    if any(folder.glob("*.safetensors")):
        return f"{INDEX} is missing"
    return "there are no weights (model.safetensors)"


def _check_tokenizer(folder: Path) -> Iterator[str]:
    file = next((folder / name for name in ("tokenizer.json", "vocab.json") if (folder / name).exists()), None)
    if file is None:
        yield "the tokenizer is missing (tokenizer.json)"
    elif file.name == "vocab.json" and not (folder / "merges.txt").exists():
        yield "merges.txt is missing"
    else:
        stat = file.stat()
        yield from _vocabulary_problems(file, (stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=16)
def _vocabulary_problems(file: Path, _stamp: tuple[int, int]) -> tuple[str, ...]:
    """Cached by size and time of change: the file has megabytes, and the page validates at every run of its script."""
    content, problems = read_json(file)
    model = content.get("model")
    nested = model.get("vocab") if isinstance(model, dict) else None
    vocabulary = content if file.name == "vocab.json" else nested
    if problems or not isinstance(vocabulary, dict):
        return tuple(problems or [f"{file.name} holds no vocabulary"])
    for word in ("yes", "no"):  # byte-level vocabularies hold English words as they are
        if word not in vocabulary:
            return (f'its vocabulary does not hold "{word}" as one piece, so it cannot judge yes or no',)
    return ()


def _check_processor(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    settings, problems = image_processor_config(folder)
    yield from problems
    if problems:
        return
    for name in ("patch_size", "merge_size"):
        if type(settings.get(name)) is not int or settings[name] < 1:
            yield f"preprocessor_config.json does not say {name}"
            return
    vision = config.get("vision_config")
    patch = vision.get("patch_size") if isinstance(vision, dict) else None
    if patch is not None and patch != settings["patch_size"]:
        yield f"preprocessor_config.json cuts patches of {settings['patch_size']} pixels, and config.json says {patch}"
    if not isinstance(settings.get("size") or {}, dict):
        yield "preprocessor_config.json does not say how large pictures may be (size)"


def _check_template(folder: Path) -> Iterator[str]:
    try:
        template = read_chat_template(folder)
    except CheckpointError as error:
        yield str(error)
        return
    if template is None:
        yield "the chat template is missing (chat_template.json or chat_template.jinja)"
    elif "<|image_pad|>" not in template:
        yield "the chat template has no place for a picture (<|image_pad|>)"
