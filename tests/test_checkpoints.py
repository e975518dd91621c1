"""Checkpoints are found in order, and what is wrong with one is named before anything is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_checkpoints import write_published

from lychee_rerank.checkpoints import DEMO_FOLDER, PUBLISHED, check, find_checkpoint, list_checkpoints
from lychee_rerank.errors import CheckpointError

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("whole") / "lychee")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def cut(name: str, keep: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def grow(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"x") and None


def rename_tensor(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    index["weight_map"]["model.layers.99.weight"] = FIRST
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def only_pickles(folder: Path) -> None:
    remove(INDEX, FIRST, SECOND)(folder)
    write("pytorch_model.bin", "x")(folder)


def other_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}), encoding="utf-8")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard missing": (remove(SECOND), f"{SECOND} is missing"),
    "a shard empty": (cut(FIRST, 0), f"{FIRST} is empty or cut short"),
    "a shard of five bytes": (cut(FIRST, 5), f"{FIRST} is empty or cut short"),
    "a shard cut in its header": (cut(FIRST, 60), f"{FIRST} is not a safetensors file"),
    "a shard cut in its weights": (cut(FIRST, 30_000), f"{FIRST} has 30000 bytes and should have"),
    "a shard one byte short": (lambda f: cut(SECOND, (f / SECOND).stat().st_size - 1)(f), f"{SECOND} has"),
    "a shard one byte long": (grow(FIRST), f"{FIRST} has"),
    "a pointer of git-lfs": (write(FIRST, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git-lfs"),
    "a web page as shard": (write(FIRST, "<html>" + "not found " * 40), f"{FIRST} is not a safetensors file"),
    "a tensor that is nowhere": (rename_tensor, "does not hold model.layers.99.weight"),
    "no index": (remove(INDEX), f"{INDEX} is missing"),
    "a broken index": (write(INDEX, "{"), f"{INDEX} cannot be read as JSON"),
    "an index without weights": (write(INDEX, "{}"), "names no weights"),
    "an index that is a list": (write(INDEX, "[]"), "does not hold an object"),
    "no weights": (remove(INDEX, FIRST, SECOND), "there are no weights"),
    "only pickles": (only_pickles, "not safetensors"),
    "no config": (remove("config.json"), "config.json is missing"),
    "a broken config": (write("config.json", "{'a': 1}"), "config.json cannot be read as JSON"),
    "another architecture": (other_architecture, "LlamaForCausalLM"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer is missing"),
    "a broken tokenizer": (cut("tokenizer.json", 100), "tokenizer.json cannot be read as JSON"),
    "no preprocessor": (remove("preprocessor_config.json"), "preprocessor_config.json is missing"),
    "a broken preprocessor": (write("preprocessor_config.json", ""), "preprocessor_config.json cannot be read"),
    "no chat template": (remove("chat_template.json"), "chat template is missing"),
    "a broken chat template": (write("chat_template.json", "{"), "chat_template.json cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_named(folder: Path, damage: str) -> None:
    harm, words = DAMAGES[damage]
    harm(folder)
    assert any(words in problem for problem in check(folder)), list(check(folder))
    with pytest.raises(CheckpointError, match="cannot be used") as refused:
        find_checkpoint(str(folder))
    assert words in str(refused.value)


def test_a_whole_folder_has_no_problems(folder: Path) -> None:
    assert list(check(folder)) == []
    found = find_checkpoint(str(folder))
    assert (found.name, found.source, found.is_demo) == ("copy", "argument", False)
    assert found.size > 0


def test_a_file_and_a_missing_folder_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in next(check(tmp_path / "file"))
    assert "there is no folder" in next(check(tmp_path / "none"))


def test_a_name_that_is_nowhere_says_what_to_do() -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor a model on this machine"):
        find_checkpoint("someone/nothing-at-all")


def test_a_published_model_that_is_not_here_is_named_with_the_command_that_fetches_it() -> None:
    with pytest.raises(CheckpointError, match="`uv run lychee-rerank download Qwen/Qwen3-VL-Reranker-2B` fetches it"):
        find_checkpoint("Qwen/Qwen3-VL-Reranker-2B")


def in_hub_cache(root: Path, whole: Path) -> Path:
    kept = root / f"models--{PUBLISHED.replace('/', '--')}"
    snapshot = kept / "snapshots" / "abc"
    shutil.copytree(whole, snapshot)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc", encoding="utf-8")
    return snapshot


def test_the_search_order_is_environment_then_hub_then_modelscope_then_demo(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, scope = tmp_path / "hub", tmp_path / "scope"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(scope))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    assert find_checkpoint().is_demo
    shutil.copytree(whole, scope / "models" / PUBLISHED)
    assert find_checkpoint().source == "modelscope"
    snapshot = in_hub_cache(hub, whole)
    assert (find_checkpoint().source, find_checkpoint().path) == ("huggingface", snapshot)
    assert find_checkpoint(PUBLISHED).path == snapshot
    monkeypatch.setenv("LYCHEE_MODEL", str(whole))
    assert find_checkpoint().source == "environment"


def test_auto_passes_over_a_broken_cache_and_lists_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "none"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    (in_hub_cache(tmp_path, whole) / FIRST).unlink()
    assert find_checkpoint().is_demo
    assert list_checkpoints()[0].problems == (f"{FIRST} is missing",)


def test_the_demo_checkpoint_is_whole_and_small() -> None:
    demo = find_checkpoint("demo")
    assert (demo.problems, demo.path) == ((), DEMO_FOLDER)
    assert demo.size < 20_000_000
