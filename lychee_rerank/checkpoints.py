"""Which weights: where checkpoints are looked for, what is found there, and what is wrong with it. Never loads, never
downloads.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lychee_rerank import families
from lychee_rerank.errors import CheckpointError

PUBLISHED = "vec-ai/lychee-rerank-mm"
DEMO_FOLDER = Path(__file__).parent / "demo" / "checkpoint"
_HEADER_LIMIT = 100 * 1024 * 1024


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder: `name` for people, `source` is where it was found ("argument", "environment", "huggingface",
    "modelscope" or "demo"), `problems` one sentence for each thing that is wrong with it."""

    path: Path
    name: str
    source: str
    problems: tuple[str, ...] = ()

    @property
    def is_demo(self) -> bool:
        return self.source == "demo"

    @property
    def size(self) -> int:
        """Bytes of its weight files."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors") if file.exists())


def find_checkpoint(model: str = "auto") -> Checkpoint:
    """The checkpoint that `model` names: "auto", "demo", a folder, or a hub id already on this machine.

    "auto" takes `LYCHEE_MODEL`, else the published weights from the Hugging Face or ModelScope cache if they are
    whole, else the demo checkpoint. Raises CheckpointError where the one asked for is missing or damaged.
    """
    if model == "auto" and (wanted := os.environ.get("LYCHEE_MODEL", "").strip()):
        return _sound(_named(wanted, "environment"))
    if model == "auto":
        return next(found for found in list_checkpoints() if not found.problems or found.is_demo)
    return _sound(_named(model, "argument"))


def list_checkpoints() -> list[Checkpoint]:
    """Everything that "auto" would look at on this machine, in its order, sound or not; the demo checkpoint is last."""
    cached = [Checkpoint(folder, PUBLISHED, source, tuple(check(folder))) for source, folder in _cached(PUBLISHED)]
    return [*cached, _demo()]


def check(folder: Path) -> Iterator[str]:
    """One sentence for each thing that keeps a checkpoint folder from being loaded. Reads headers only."""
    if not folder.is_dir():
        yield f"{folder} is not a folder" if folder.exists() else f"there is no folder {folder}"
        return
    yield from _check_config(folder)
    yield from _check_weights(folder)
    if not any((folder / name).exists() for name in ("tokenizer.json", "vocab.json")):
        yield "the tokenizer is missing (tokenizer.json)"
    elif (folder / "tokenizer.json").exists():
        yield from _read_json(folder / "tokenizer.json")[1]
    if not (folder / "preprocessor_config.json").exists():
        yield "preprocessor_config.json is missing"
    else:
        yield from _read_json(folder / "preprocessor_config.json")[1]
    yield from _check_template(folder)


def _demo() -> Checkpoint:
    return Checkpoint(DEMO_FOLDER, "demo", "demo", tuple(check(DEMO_FOLDER)))


def _named(model: str, source: str) -> Checkpoint:
    if model == "demo":
        return _demo()
    folder = Path(model).expanduser()
    if folder.exists():
        return Checkpoint(folder, folder.resolve().name, source, tuple(check(folder)))
    found = [Checkpoint(path, model, place, tuple(check(path))) for place, path in _cached(model)]
    if found:
        return min(found, key=lambda checkpoint: len(checkpoint.problems))
    if model in families.PUBLISHED:
        raise CheckpointError(f'"{model}" is not on this machine; `uv run lychee-rerank download {model}` fetches it.')
    raise CheckpointError(
        f'"{model}" is neither a folder nor a model on this machine; `uv run lychee-rerank download` fetches the '
        'published weights, and "demo" always works.'
    )


def _sound(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.problems:
        raise CheckpointError(
            f"The checkpoint in {checkpoint.path} cannot be used: {'; '.join(checkpoint.problems)}.",
            folder=checkpoint.path,
            problems=checkpoint.problems,
        )
    return checkpoint


def _cached(model: str) -> Iterator[tuple[str, Path]]:
    """Where the Hugging Face and ModelScope caches keep a hub id, if they do."""
    if model.count("/") != 1:
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    kept = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    pointer = kept / "refs" / "main"
    snapshots = [kept / "snapshots" / pointer.read_text(encoding="utf-8").strip()] if pointer.is_file() else []
    yield from (("huggingface", folder) for folder in snapshots if folder.is_dir())
    root = Path(os.environ.get("MODELSCOPE_CACHE", Path.home() / ".cache" / "modelscope"))
    owner, name = model.split("/")
    for layout in ("hub/models", "models", "hub"):
        for folder in (root / layout / owner / name, root / layout / owner / name.replace(".", "___")):
            if folder.is_dir():
                yield "modelscope", folder
                return


def _check_config(folder: Path) -> Iterator[str]:
    config, problems = _read_json(folder / "config.json")
    yield from problems
    if problems:
        return
    named = config.get("architectures") or ["nothing"]
    if not families.find_family(named):
        yield f"config.json describes {named[0]}, not a {' or '.join(family.title for family in families.FAMILIES)}"


def _check_weights(folder: Path) -> Iterator[str]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        single = folder / "model.safetensors"
        if single.exists() or single.is_symlink():
            yield from _check_shard(single, None)
        elif any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
            yield "its weights are not safetensors, the only kind that is loaded"
        elif any(folder.glob("*.safetensors")):
            yield "model.safetensors.index.json is missing"
        else:
            yield "there are no weights (model.safetensors)"
        return
    content, problems = _read_json(index)
    yield from problems
    if problems:
        return
    tensors: dict[str, set[str]] = {}
    for tensor, shard in content.get("weight_map", {}).items():
        tensors.setdefault(str(shard), set()).add(tensor)
    if not tensors:
        yield f"{index.name} names no weights"
    for shard in sorted(tensors):
        yield from _check_shard(folder / shard, tensors[shard])


def _check_shard(file: Path, expected: set[str] | None) -> Iterator[str]:
    """Whether a safetensors file is there, whole, and holds what it should: its header says how long it must be."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
            if len(start) < 8:
                yield f"{file.name} is empty or cut short ({len(start)} bytes)"
                return
            if start.startswith(b"version "):
                yield f"{file.name} is only a pointer of git-lfs; the file itself was not fetched"
                return
            (length,) = struct.unpack("<Q", start)
            header = json.loads(opened.read(length)) if length <= _HEADER_LIMIT else None
        size = file.stat().st_size
    except FileNotFoundError:
        yield f"{file.name} is missing"
        return
    except OSError as error:
        yield f"{file.name} cannot be read ({error.strerror})"
        return
    except ValueError:
        header = None
    if not isinstance(header, dict):
        yield f"{file.name} is not a safetensors file, or its start is damaged"
        return
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        yield f"{file.name} has {size} bytes and should have {whole}"
    elif expected is not None and (absent := expected - set(header)):
        yield f"{file.name} does not hold {min(absent)}"


def _check_template(folder: Path) -> Iterator[str]:
    if (folder / "chat_template.jinja").exists():
        return
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).exists():
            content, problems = _read_json(folder / name)
            if problems or "chat_template" in content:
                yield from problems
                return
    yield "the chat template is missing (chat_template.json or chat_template.jinja)"


def _read_json(file: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"{file.name} is missing"]
    except (OSError, ValueError):
        return {}, [f"{file.name} cannot be read as JSON"]
    return (content, []) if isinstance(content, dict) else ({}, [f"{file.name} does not hold an object"])
