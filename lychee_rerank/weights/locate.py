"""Which weights: where checkpoints are looked for, what is found there, and what is wrong with it. Never loads, never
downloads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights import families
from lychee_rerank.weights.validate import validate_checkpoint

DEFAULT_MODEL = "vec-ai/lychee-rerank-mm"
DEMO_FOLDER = Path(__file__).parents[1] / "demo" / "checkpoint"


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
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors") if file.is_file())


def find_checkpoint(model: str = "auto") -> Checkpoint:
    """The checkpoint that `model` names: "auto", "demo", a folder, or a hub id already on this machine.

    "auto" takes `LYCHEE_MODEL`, else the published weights from the Hugging Face or ModelScope cache if they are
    whole, else the demo checkpoint. Raises CheckpointError where the one asked for is missing or damaged.
    """
    return _require_valid(resolve_checkpoint(model))


def resolve_checkpoint(model: str = "auto") -> Checkpoint:
    """As `find_checkpoint`, also where what is found is damaged; raises CheckpointError where nothing is."""
    if model == "auto" and (wanted := os.environ.get("LYCHEE_MODEL", "").strip()):
        return _named(wanted, "environment")
    if model == "auto":
        return next(found for found in list_checkpoints() if not found.problems or found.is_demo)
    return _named(model, "argument")


def list_checkpoints() -> list[Checkpoint]:
    """Everything that "auto" would look at on this machine, in its order, sound or not; the demo checkpoint is last."""
    cached = [
        Checkpoint(folder, DEFAULT_MODEL, source, tuple(validate_checkpoint(folder)))
        for source, folder in _cached(DEFAULT_MODEL)
    ]
    return [*cached, _demo()]


def _demo() -> Checkpoint:
    return Checkpoint(DEMO_FOLDER, "demo", "demo", tuple(validate_checkpoint(DEMO_FOLDER)))


def _named(model: str, source: str) -> Checkpoint:
    if model == "demo":
        return _demo()
    folder = Path(model).expanduser()
    if _is_there(folder):
        return Checkpoint(folder, folder.resolve().name, source, tuple(validate_checkpoint(folder)))
    found = [Checkpoint(path, model, place, tuple(validate_checkpoint(path))) for place, path in _cached(model)]
    if found:
        return min(found, key=lambda checkpoint: len(checkpoint.problems))
    if model in families.KNOWN_RERANKERS:
        raise CheckpointError(f'"{model}" is not on this machine; `uv run lychee-rerank download {model}` fetches it.')
    raise CheckpointError(
        f'"{model}" is neither a folder nor a model on this machine; `uv run lychee-rerank download` fetches the '
        'published weights, and "demo" always works.'
    )


def _is_there(folder: Path) -> bool:
    """Raises CheckpointError where the system does not let it be seen."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no name that a file can have
        return False
    except OSError as error:
        raise CheckpointError(f"{str(folder)[:200]} cannot be read ({error.strerror}).", folder=folder) from error
    return True


def _require_valid(checkpoint: Checkpoint) -> Checkpoint:
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
