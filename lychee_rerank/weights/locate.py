"""Which checkpoint is used: where they are searched, and what is wrong with each. Loads and fetches nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.cache import cached_folders
from lychee_rerank.weights.families import KNOWN_RERANKERS
from lychee_rerank.weights.fingerprint import fingerprint
from lychee_rerank.weights.validate import validate_checkpoint

DEFAULT_MODEL = "vec-ai/lychee-rerank-mm"
DEMO_FOLDER = Path(__file__).parents[1] / "demo" / "checkpoint"
DEMO_WARNING = (
    "The built-in demo model is used: it knows simple pictograms, not photographs, so its scores of photographs mean "
    "nothing. `uv run lychee-rerank download` fetches the real weights (16.6 GB); then run this again."
)


@dataclass(frozen=True)
class Checkpoint:
    """Weights in a folder, or a model that a server has loaded.

    name: for people. source: "argument", "environment", "huggingface", "modelscope", "demo" or "server".
    problems: one sentence for each thing that is wrong. url: the server's address, for source "server" alone.
    """

    path: Path
    name: str
    source: str
    problems: tuple[str, ...] = ()
    url: str = ""

    @property
    def is_demo(self) -> bool:
        return self.source == "demo"

    @property
    def size(self) -> int:
        """Bytes of its weight files; 0 on a server."""
        files = () if self.url else self.path.glob("*.safetensors")
        return sum(file.stat().st_size for file in files if file.is_file())

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the weights, wherever a copy lies. Read once: what comes to lie there later was not loaded.

        On a server, where they cannot be read, its address and the model's name.
        """
        return f"{self.url} {self.name}" if self.url else fingerprint(self.path)


def find_checkpoint(model: str = "auto") -> Checkpoint:
    """The checkpoint that `model` names: "auto", "demo", a folder, or a hub id already on this machine.

    "auto" takes `LYCHEE_MODEL`, else the published weights from the Hugging Face or ModelScope cache if they are
    complete, else the demo checkpoint. Raises CheckpointError where the one asked for is missing or damaged.
    """
    checkpoint = resolve_checkpoint(model)
    if checkpoint.problems:
        raise CheckpointError(_describe_problems(checkpoint))
    return checkpoint


def damaged_checkpoints() -> list[str]:
    """One sentence for each checkpoint that "auto" passes over."""
    return [_describe_problems(checkpoint) for checkpoint in list_checkpoints() if checkpoint.problems]


def _describe_problems(checkpoint: Checkpoint) -> str:
    return f"The checkpoint in {checkpoint.path} cannot be used: {'; '.join(checkpoint.problems)}."


def resolve_checkpoint(model: str = "auto") -> Checkpoint:
    """As `find_checkpoint`, also where the checkpoint is damaged; raises CheckpointError where there is none."""
    if model != "auto":
        return _resolve_name(model, "argument")
    if environment := os.environ.get("LYCHEE_MODEL", "").strip():
        return _resolve_name(environment, "environment")
    return next(checkpoint for checkpoint in list_checkpoints() if not checkpoint.problems or checkpoint.is_demo)


def list_checkpoints() -> list[Checkpoint]:
    """What "auto" chooses from on this machine, in its order, valid or not; the demo checkpoint is last."""
    return [*_cached_checkpoints(DEFAULT_MODEL), _open(DEMO_FOLDER, "demo", "demo")]


def _open(folder: Path, name: str, source: str) -> Checkpoint:
    return Checkpoint(folder, name, source, tuple(validate_checkpoint(folder)))


def _cached_checkpoints(repo: str) -> Iterator[Checkpoint]:
    """One for each hub's cache that holds `repo`: the newest revision without problems, else the newest."""
    for hub, folders in cached_folders(repo).items():
        if folders:
            yield min((_open(folder, repo, hub) for folder in folders), key=lambda revision: bool(revision.problems))


def _resolve_name(model: str, source: str) -> Checkpoint:
    if model == "demo":
        return _open(DEMO_FOLDER, "demo", "demo")
    folder = Path(os.path.expanduser(model))  # Path's own raises for an unknown user
    if _exists(folder):
        if folder.resolve() == DEMO_FOLDER.resolve():
            return _open(DEMO_FOLDER, "demo", "demo")
        return _open(folder, folder.resolve().name, source)
    if cached := list(_cached_checkpoints(model)):
        return min(cached, key=lambda checkpoint: len(checkpoint.problems))
    if model in KNOWN_RERANKERS:
        raise CheckpointError(f'"{model}" is not on this machine; `uv run lychee-rerank download {model}` fetches it.')
    raise CheckpointError(
        f'"{model}" is neither a folder nor a model on this machine; `uv run lychee-rerank download` fetches the '
        'published weights, and "demo" always works.'
    )


def _exists(folder: Path) -> bool:
    """Raises CheckpointError where the system does not tell."""
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
        return False
    except OSError as error:
        raise CheckpointError(f"{str(folder)[:200]} cannot be read ({error.strerror}).") from error
    return True
