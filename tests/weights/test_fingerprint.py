"""Weights are recognized wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.weights.fingerprint import fingerprint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write(tmp_path / "one")


def write(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(3_000_000))
    return folder


def test_a_copy_has_the_same_fingerprint(checkpoint: Path, tmp_path: Path) -> None:
    copy = write(tmp_path / "copy")
    (copy / "README.md").write_text("not read by the model")
    assert fingerprint(copy) == fingerprint(checkpoint)


def test_other_weights_or_another_configuration_have_another_fingerprint(checkpoint: Path, tmp_path: Path) -> None:
    retrained, reconfigured, longer = (write(tmp_path / name) for name in ("retrained", "reconfigured", "longer"))
    with (retrained / "model.safetensors").open("r+b") as file:
        file.write(b"\x01")
    (reconfigured / "config.json").write_text('{"a": 1}')
    with (longer / "model.safetensors").open("ab") as file:
        file.write(b"\x00")
    assert len({fingerprint(folder) for folder in (checkpoint, retrained, reconfigured, longer)}) == 4


def test_a_fingerprint_stays_what_it_was_when_the_kept_scores_were_made(checkpoint: Path) -> None:
    assert fingerprint(checkpoint) == "ccc1ed913dc2f333e836bdab1fa501cf"
