"""What is wrong with a checkpoint folder, one sentence for each thing, before anything is loaded; reads only headers of
weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights import families
from lychee_rerank.weights.safetensors_header import Shape, check_against_config, read_tensor_shapes

INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Read by the libraries that load the model, if they are there.
_OPTIONAL = ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json")
_BOM = b"\xef\xbb\xbf"


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
            if _is_there(folder / name):
                yield from read_json(folder / name)[1]
    except PermissionError as error:
        yield f"{folder} cannot be read ({error.strerror})"


def read_json(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The object in a file, or else what is wrong with it."""
    try:
        content = _parsed(file.read_bytes())
    except FileNotFoundError:
        return {}, [f"{file.name} is missing"]
    except OSError as error:
        return {}, [f"{file.name} cannot be read ({error.strerror})"]
    except CheckpointError as error:
        return {}, [f"{file.name} {error}"]
    except (ValueError, RecursionError):
        return {}, [f"{file.name} cannot be read as JSON"]
    return (content, []) if isinstance(content, dict) else ({}, [f"{file.name} does not hold an object"])


def image_processor_config(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """How pictures are cut into patches: in a file of its own, or inside the one that today's transformers writes.

    Whatever stands inside it comes first, as in transformers.
    """
    alone, around = folder / "preprocessor_config.json", folder / "processor_config.json"
    if not _is_there(around):
        return read_json(alone)
    content, problems = read_json(around)
    inside = content.get("image_processor")
    if problems or isinstance(inside, dict):
        return inside or {}, problems
    return read_json(alone)


def _parsed(content: bytes) -> Any:
    """Raises CheckpointError with words that follow a file's name, ValueError or RecursionError for what is no JSON."""
    if content.startswith(_BOM):
        raise CheckpointError("begins with a byte order mark: save it as UTF-8 without one")
    if content.startswith(b"version https://git-lfs"):
        raise CheckpointError("is only a pointer of git-lfs; the file itself was not fetched")
    return json.loads(content.decode("utf-8"))


def _is_there(file: Path) -> bool:
    return file.exists() or file.is_symlink()  # a link that leads nowhere is a file that is missing


def _check_config(config: Mapping[str, Any]) -> Iterator[str]:
    named = families.architectures(config)
    family = families.find_family(named)
    if family is None:
        known = " or ".join(each.title for each in families.FAMILIES)
        yield f"config.json describes {named[0] if named else 'nothing':.80}, not a {known}"
    elif config.get("model_type", family.model_type) != family.model_type:
        yield f"config.json describes a {family.title}, and also says model_type {config['model_type']!r:.40}"
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        yield f"its weights are quantized ({method or 'in an unknown way'}); only plain ones are loaded"


def _check_weights(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    shards, problems = _named_shards(folder)
    held: dict[str, Shape] = {}
    for name in sorted(shards):
        try:
            held |= _shard(folder, name, shards[name])
        except CheckpointError as error:
            problems.append(str(error))
    yield from problems
    if not problems and families.find_family(families.architectures(config)):
        yield from check_against_config(held, config)


def _named_shards(folder: Path) -> tuple[dict[str, set[str]], list[str]]:
    """The weight files there should be, with the tensors that the index says are in each, and what is wrong."""
    if _is_there(folder / INDEX):
        content, problems = read_json(folder / INDEX)
        shards = _shards(content)
        return shards, problems or ([] if shards else [f"{INDEX} names no weights"])
    if _is_there(folder / "model.safetensors"):
        return {"model.safetensors": set()}, []
    return {}, [_no_weights(folder)]


def _shards(index: Mapping[str, Any]) -> dict[str, set[str]]:
    """The names of the tensors that should be in each file."""
    shards: dict[str, set[str]] = {}
    named = index.get("weight_map")
    for tensor, shard in named.items() if isinstance(named, dict) else ():
        shards.setdefault(str(shard), set()).add(tensor)
    return shards


def _shard(folder: Path, name: str, expected: Collection[str]) -> dict[str, Shape]:
    if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        raise CheckpointError(f'{INDEX} names "{name:.80}", which is no safetensors file of this folder')
    shapes = read_tensor_shapes(folder / name)
    if absent := set(expected) - set(shapes):
        raise CheckpointError(f"{name} does not hold {min(absent)}")
    return shapes


def _no_weights(folder: Path) -> str:
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
    whole, vocabulary = folder / "tokenizer.json", folder / "vocab.json"
    if not (whole.exists() or vocabulary.exists()):
        yield "the tokenizer is missing (tokenizer.json)"
    elif whole.exists():
        yield from _tokenizer_problems(whole, _signature(whole))
    elif not (folder / "merges.txt").exists():
        yield "merges.txt is missing"
    else:
        content, problems = read_json(vocabulary)
        yield from problems or _check_words(content)


@lru_cache(maxsize=16)
def _tokenizer_problems(file: Path, _signature: tuple[int, int]) -> tuple[str, ...]:
    """Kept as long as the file stays what it is: it has megabytes, and the page looks at every turn."""
    content, problems = read_json(file)
    model = content.get("model")
    words = model.get("vocab") if isinstance(model, dict) else None
    if problems:
        return tuple(problems)
    return tuple(_check_words(words)) if isinstance(words, dict) else (f"{file.name} holds no vocabulary",)


def _signature(file: Path) -> tuple[int, int]:
    found = os.stat(file)
    return found.st_size, found.st_mtime_ns


def _check_words(vocabulary: Mapping[str, Any]) -> Iterator[str]:
    """Byte-level vocabularies hold English words as they are."""
    for word in ("yes", "no"):
        if word not in vocabulary:
            yield f'its vocabulary does not hold "{word}" as one piece, so it cannot judge yes or no'
            return


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
        template = _template(folder)
    except CheckpointError as error:
        yield str(error)
        return
    if template is None:
        yield "the chat template is missing (chat_template.json or chat_template.jinja)"
    elif not isinstance(template, str) or "<|image_pad|>" not in template:
        yield "the chat template has no place for a picture (<|image_pad|>)"


def _template(folder: Path) -> object:
    """The chat template, from where `loading` takes it."""
    modern = folder / "chat_template.jinja"
    if modern.exists():
        try:
            return modern.read_text(encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"{modern.name} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise CheckpointError(f"{modern.name} is not text in UTF-8") from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).exists():
            content, problems = read_json(folder / name)
            if problems:
                raise CheckpointError(problems[0])
            if "chat_template" in content:
                found: object = content["chat_template"]
                return found
    return None
