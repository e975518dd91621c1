"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint in the new layout."""
    from small_checkpoints import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("new") / "small")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in the layout that lychee-rerank-mm was published in."""
    from small_checkpoints import write_published

    return write_published(tmp_path_factory.mktemp("published") / "small")
