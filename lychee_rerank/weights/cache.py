"""Where the hubs' own libraries keep models on this machine: the one place that knows the layout of their caches.

Hugging Face: {root}/models--{owner}--{name}/snapshots/{commit}/, its files linked to ../../blobs/{checksum}; the file
refs/main names the current commit.
ModelScope: {root}/models/{owner}--{name}/snapshots/{revision}/ since modelscope 1.38; before, plain folders such as
{root}/hub/models/{owner}/{name} with "." written "___", which it still prefers where there is one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Hub = Literal["huggingface", "modelscope"]


@dataclass(frozen=True)
class RemoteFile:
    """One file as its hub lists it: `size` in bytes, `checksum` the SHA-256 (64 digits) or git's SHA-1 (40).

    ModelScope need not give a checksum; it is empty then.
    """

    name: str
    size: int
    checksum: str
    url: str


@dataclass(frozen=True)
class CacheEntry:
    """Where one revision of a model belongs in the cache of its hub.

    folder: the checkpoint. download_folder: where bytes are written to; for Hugging Face the contents by checksum,
    else the checkpoint. ref: Hugging Face's file that names the current commit; ModelScope has none.
    """

    folder: Path
    download_folder: Path
    ref: Path | None = None

    def final_path(self, file: RemoteFile) -> Path:
        """Where the bytes of a complete file are kept."""
        return self.download_folder / (file.checksum if self.ref else file.name)

    def partial_path(self, file: RemoteFile) -> Path:
        """Where they are kept until then; named by content, so that a file that changed is never continued.

        Not "{checksum}.incomplete", as in older versions of huggingface-hub: those leave files there that have their
        full length from the start, with holes.
        """
        return self.download_folder / f".{file.checksum or file.name}.lychee-partial"

    def existing_path(self, file: RemoteFile) -> Path | None:
        """Where a complete file is, by its name or by its content."""
        return next((path for path in (self.folder / file.name, self.final_path(file)) if path.is_file()), None)

    def commit(self, files: Iterable[RemoteFile]) -> None:
        """Make this revision the current one. The last step: a revision fetched before stays current until then."""
        if self.ref is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if not (self.folder / file.name).exists():
                _link(self.final_path(file), self.folder / file.name)
        self.ref.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.ref.with_name(f"{self.ref.name}.lychee")
        temporary.write_text(self.folder.name, encoding="utf-8")
        temporary.replace(self.ref)


def huggingface_root() -> Path:
    """The Hugging Face cache (HF_HUB_CACHE, HF_HOME)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def modelscope_root() -> Path:
    """The ModelScope cache (MODELSCOPE_CACHE)."""
    # Path's own expanduser raises for a person without a home directory.
    return Path(os.path.expanduser(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope"))


def huggingface_entry(repo: str, commit: str) -> CacheEntry:
    """Where the Hugging Face cache keeps a commit of `repo`."""
    model = _huggingface_model(repo)
    return CacheEntry(model / "snapshots" / commit, download_folder=model / "blobs", ref=model / "refs" / "main")


def modelscope_entry(repo: str) -> CacheEntry:
    """Where modelscope looks for the newest revision of `repo`, also if an older version of it made that folder."""
    root, (owner, name) = modelscope_root(), repo.split("/")
    older = (models / owner / name.replace(".", "___") for models in (root / "models", root / "hub" / "models"))
    current = root / "models" / f"{owner}--{name}" / "snapshots" / "master"
    folder = next((folder for folder in older if folder.is_dir()), current)
    return CacheEntry(folder, download_folder=folder)


def cached_folders(repo: str) -> dict[Hub, list[Path]]:
    """The folders of each cache that hold `repo`, complete or not: newest first, but before all the one that Hugging
    Face's refs/main names.
    """
    if repo.count("/") != 1:
        return {}
    current = _huggingface_current(repo)
    huggingface = _newest_first(_children(_huggingface_model(repo) / "snapshots"))
    return {
        "huggingface": sorted(huggingface, key=lambda folder: folder.name != current),
        "modelscope": _newest_first(_modelscope_folders(repo)),
    }


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    ages = {path: os.path.getmtime(path) for path in paths if os.path.isdir(path)}
    return sorted(ages, key=lambda path: ages[path], reverse=True)


def _children(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it is missing or cannot be read."""
    try:
        return [folder / name for name in os.listdir(folder)]
    except (OSError, ValueError):  # ValueError: no possible name
        return []


def _huggingface_model(repo: str) -> Path:
    return huggingface_root() / f"models--{repo.replace('/', '--')}"


def _huggingface_current(repo: str) -> str:
    """The commit that refs/main names; "" where that file is missing or unreadable."""
    try:
        return (_huggingface_model(repo) / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # ValueError: not UTF-8, or no possible name
        return ""


def _modelscope_folders(repo: str) -> Iterator[Path]:
    owner, name = repo.split("/")
    for root in (modelscope_root(), modelscope_root() / "hub"):
        yield from _children(root / "models" / f"{owner}--{name}" / "snapshots")
        for parent in (root / "models" / owner, root / owner):
            yield from (parent / name, parent / name.replace(".", "___"))


def _link(target: Path, path: Path) -> None:
    """A symbolic link, a hard link or the file itself: Windows allows links to few, and some disks have none."""
    try:
        path.symlink_to(os.path.relpath(target, path.parent))
    except OSError:
        try:
            path.hardlink_to(target)
        except OSError:
            shutil.move(target, path)
