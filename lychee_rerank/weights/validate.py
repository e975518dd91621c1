"""What is wrong with a checkpoint folder, one sentence for each thing, before anything is loaded; of weight files, only
the headers are read.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights import families
from lychee_rerank.weights.safetensors_header import Shape, check_against_config, check_not_special, read_tensor_shapes

INDEX = "model.safetensors.index.json"
_UNUSABLE_WEIGHTS = {  # what is there in place of weights -> what is wrong
    **dict.fromkeys(("*.bin", "*.pt", "*.pth", "*.ckpt"), "its weights are not safetensors, the only kind loaded"),
    "adapter_config.json": "it holds only an adapter (LoRA): merge it into its base model first",
    "*.gguf": "its weights are GGUF, and only safetensors are loaded",
    "*.safetensors": f"{INDEX} is missing",
}
_NOT_JSON = {  # how a file begins -> what is wrong
    "\ufeff": "begins with a byte order mark: save it as UTF-8 without one",
    "version https://git-lfs": "is only a pointer of git-lfs; the file itself was not fetched",
}
# Read by the libraries that load the model, where present.
_OPTIONAL = ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json")


def validate_checkpoint(folder: Path) -> Iterator[str]:
    """One sentence for each thing that keeps a checkpoint folder from being loaded."""
    if not folder.is_dir():
        yield f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}"
        return
    config: dict[str, Any] = {}
    with suppress(CheckpointError):  # `_check_config` raises it again
        config = read_json(folder / "config.json")
    checks = (
        _check_config(folder),
        _check_weights(folder, config),
        _check_tokenizer(folder),
        _check_processor(folder, config),
        _check_template(folder),
        *(_check_optional(folder / name) for name in _OPTIONAL),
    )
    for check in checks:
        try:
            yield from check
        except CheckpointError as error:
            yield str(error)
        except PermissionError as error:
            yield f"{folder} cannot be read ({error.strerror})"
            return


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file. Raises CheckpointError, with a phrase for a list of problems, where there is none."""
    text = _read_text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        reasons = (reason for start, reason in _NOT_JSON.items() if text.startswith(start))
        raise CheckpointError(f"{file.name} {next(reasons, 'cannot be read as JSON')}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.name} does not hold an object")
    return content


def image_processor_config(folder: Path) -> tuple[dict[str, Any], str]:
    """How images are cut into patches, and the name of the file that says it. Raises as `read_json`.

    As in transformers: the "image_processor" of processor_config.json, which today's version writes, comes before
    preprocessor_config.json.
    """
    modern, older = folder / "processor_config.json", folder / "preprocessor_config.json"
    nested = read_json(modern).get("image_processor") if os.path.lexists(modern) else None
    return (nested, modern.name) if isinstance(nested, dict) else (read_json(older), older.name)


def read_chat_template(folder: Path) -> str | None:
    """The template in chat_template.jinja, else in chat_template.json, else in tokenizer_config.json.

    Raises as `read_json`, also where a file holds a template that is no text.
    """
    if (folder / "chat_template.jinja").exists():
        return _read_text(folder / "chat_template.jinja")
    for file in (folder / "chat_template.json", folder / "tokenizer_config.json"):
        template = read_json(file).get("chat_template") if file.exists() else None
        if isinstance(template, str):
            return template
        if template is not None:
            raise CheckpointError(f"the chat template in {file.name} is not text")
    return None


def _read_text(file: Path) -> str:
    check_not_special(file)
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CheckpointError(f"{file.name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file.name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CheckpointError(f"{file.name} cannot be read (not text in UTF-8)") from error


def _check_config(folder: Path) -> Iterator[str]:
    config = read_json(folder / "config.json")
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
    problems: list[str] = []
    shapes: dict[str, Shape] = {}
    for name, tensors in sorted(expected_shards(folder).items()):
        try:
            shapes |= _read_shard(folder, name, tensors)
        except CheckpointError as error:
            problems.append(str(error))
    yield from problems
    if not problems and families.find_family(families.architectures(config)):
        yield from check_against_config(shapes, config)


def expected_shards(folder: Path) -> dict[str, set[str]]:
    """The weight files there should be, each with the tensors that the index lists for it. Raises CheckpointError."""
    if not os.path.lexists(folder / INDEX):
        if os.path.lexists(folder / "model.safetensors"):
            return {"model.safetensors": set()}
        reasons = (reason for pattern, reason in _UNUSABLE_WEIGHTS.items() if any(folder.glob(pattern)))
        raise CheckpointError(next(reasons, "there are no weights (model.safetensors)"))
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{INDEX} names no weights")
    shards: dict[str, set[str]] = defaultdict(set)
    for tensor, shard in weight_map.items():
        shards[str(shard)].add(tensor)
    return shards


def _read_shard(folder: Path, name: str, expected: Collection[str]) -> dict[str, Shape]:
    if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        raise CheckpointError(f'{INDEX} names "{name:.80}", which is no safetensors file of this folder')
    shapes = read_tensor_shapes(folder / name)
    if missing := set(expected) - set(shapes):
        raise CheckpointError(f"{name} does not hold {min(missing)}")
    return shapes


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
    content = read_json(file)
    model = content.get("model")
    nested = model.get("vocab") if isinstance(model, dict) else None
    vocabulary = content if file.name == "vocab.json" else nested
    if not isinstance(vocabulary, dict):
        return (f"{file.name} holds no vocabulary",)
    for word in ("yes", "no"):  # byte-level vocabularies hold English words as they are
        if word not in vocabulary:
            return (f'its vocabulary does not hold "{word}" as one piece, so it cannot judge yes or no',)
    return ()


def _check_processor(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    settings, name = image_processor_config(folder)
    for size in ("patch_size", "merge_size"):
        if type(settings.get(size)) is not int or settings[size] < 1:
            yield f"{name} does not say {size}"
            return
    vision = config.get("vision_config")
    patch = vision.get("patch_size") if isinstance(vision, dict) else None
    if patch is not None and patch != settings["patch_size"]:
        yield f"{name} cuts patches of {settings['patch_size']} pixels, and config.json says {patch}"
    if not isinstance(settings.get("size") or {}, dict):
        yield f"{name} does not say how large pictures may be (size)"


def _check_template(folder: Path) -> Iterator[str]:
    template = read_chat_template(folder)
    if template is None:
        yield "the chat template is missing (chat_template.json or chat_template.jinja)"
    elif "<|image_pad|>" not in template:
        yield "the chat template has no place for a picture (<|image_pad|>)"


def _check_optional(file: Path) -> Iterator[str]:
    if os.path.lexists(file):
        read_json(file)
    yield from ()
