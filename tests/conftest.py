"""What several test files share."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Small models: beside another busy process, several threads that wait for each other take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing is kept in the real home, also by what is started for several tests.
_store = tempfile.TemporaryDirectory(prefix="lychee-rerank-tests-", ignore_cleanup_errors=True)
atexit.register(_store.cleanup)
os.environ["LYCHEE_STORE"] = _store.name
os.environ.pop("LYCHEE_JOURNAL", None)


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test finds nothing kept by others, nor by versions before."""
    folder = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("LYCHEE_STORE", str(folder))
    monkeypatch.setattr("lychee_rerank.rankings.old_journals.get_app_dir", lambda _name: str(folder / "before"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint in the new layout."""
    from support.small_checkpoints import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("new") / "small")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in the layout that lychee-rerank-mm was published in."""
    from support.small_checkpoints import write_published

    return write_published(tmp_path_factory.mktemp("published") / "small")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine as a CPU-only one of a person called alice, with empty caches; the home directory."""
    from transformers import Qwen2_5_VLForConditionalGeneration  # noqa: F401  (its import looks at the GPU itself)

    home = tmp_path / "alice"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "USERNAME", "LOGNAME"):
        monkeypatch.setenv(name, "alice")
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(home / "ms"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("lychee_rerank.doctor.diagnose.list_gpus", lambda: ())
    return home
