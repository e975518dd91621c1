"""What is wrong with a checkpoint folder is named, in one sentence each, before anything is loaded."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import find_checkpoint
from lychee_rerank.weights.validate import INDEX, read_chat_template, validate_checkpoint
from support.checkpoint_edits import (
    FIRST,
    SECOND,
    Edit,
    assert_problem,
    copy_of,
    cut,
    edit_json,
    name_in_index,
    prepend,
    remove,
    replace_by_folder,
    set_values,
    write,
)

POINTER = "version https://git-lfs.github.com/spec/v1\n"


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return copy_of(published, tmp_path / "copy")


def only_pickles(folder: Path) -> None:
    remove(INDEX, FIRST, SECOND)(folder)
    write("pytorch_model.bin", "x")(folder)


def only_an_adapter(folder: Path) -> None:
    remove(INDEX, FIRST, SECOND)(folder)
    write("adapter_config.json", "{}")(folder)


def expect_a_tensor_in_the_first_shard(index: dict[str, Any]) -> None:
    index["weight_map"]["model.layers.99.weight"] = FIRST


def remove_yes(tokenizer: dict[str, Any]) -> None:
    del tokenizer["model"]["vocab"]["yes"]


DAMAGES: dict[str, tuple[Edit, str]] = {
    "a shard missing": (remove(SECOND), f"{SECOND} is missing"),
    "a tensor that is nowhere": (
        edit_json(INDEX, expect_a_tensor_in_the_first_shard),
        "does not hold model.layers.99.weight",
    ),
    "no index": (remove(INDEX), f"{INDEX} is missing"),
    "a broken index": (write(INDEX, "{"), f"{INDEX} cannot be read as JSON"),
    "an index without weights": (write(INDEX, "{}"), "names no weights"),
    "an index that is a list": (write(INDEX, "[]"), "does not hold an object"),
    "an index that leaves the folder": (name_in_index("../outside.safetensors"), 'names "../outside.safetensors"'),
    "an index that names a pickle": (name_in_index("model.bin"), 'names "model.bin", which is no safetensors file'),
    "an index that names the folder": (name_in_index("."), 'names ".", which is no safetensors file of this folder'),
    "an index without a map": (write(INDEX, '{"weight_map": ["a"]}'), "names no weights"),
    "no weights": (remove(INDEX, FIRST, SECOND), "there are no weights"),
    "only pickles": (only_pickles, "not safetensors"),
    "only an adapter": (only_an_adapter, "only an adapter (LoRA)"),
    "no config": (remove("config.json"), "config.json is missing"),
    "a broken config": (write("config.json", "{'a': 1}"), "config.json cannot be read as JSON"),
    "a config nested without end": (write("config.json", "[" * 200_000), "config.json cannot be read as JSON"),
    "a config with a byte order mark": (prepend("config.json", b"\xef\xbb\xbf"), "begins with a byte order mark"),
    "a config that is a folder": (replace_by_folder("config.json"), "config.json cannot be read ("),
    "a config that is a pointer": (write("config.json", POINTER), "git-lfs"),
    "another architecture": (set_values("config.json", architectures=["LlamaForCausalLM"]), "LlamaForCausalLM"),
    "an architecture that is a number": (set_values("config.json", architectures=3), "describes 3, not a Qwen2.5-VL"),
    "another type than its architecture": (
        set_values("config.json", model_type="llama"),
        "also says model_type 'llama'",
    ),
    "quantized weights": (set_values("config.json", quantization_config={"quant_method": "awq"}), "quantized (awq)"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer is missing"),
    "a broken tokenizer": (cut("tokenizer.json", 100), "tokenizer.json cannot be read as JSON"),
    "a tokenizer without words": (write("tokenizer.json", "{}"), "tokenizer.json holds no vocabulary"),
    "a vocabulary without yes": (edit_json("tokenizer.json", remove_yes), 'does not hold "yes" as one piece'),
    "half a tokenizer": (lambda f: shutil.move(f / "tokenizer.json", f / "vocab.json"), "merges.txt is missing"),
    "a broken tokenizer_config": (
        write("tokenizer_config.json", "[]"),
        "tokenizer_config.json does not hold an object",
    ),
    "no preprocessor": (remove("preprocessor_config.json"), "preprocessor_config.json is missing"),
    "a broken preprocessor": (write("preprocessor_config.json", ""), "preprocessor_config.json cannot be read"),
    "patches of no size": (set_values("preprocessor_config.json", patch_size="x"), "does not say patch_size"),
    "patches of another size": (set_values("preprocessor_config.json", patch_size=16), "patches of 16 pixels"),
    "no chat template": (remove("chat_template.json"), "chat template is missing"),
    "a broken chat template": (write("chat_template.json", "{"), "chat_template.json cannot be read"),
    "a template without images": (
        write("chat_template.json", '{"chat_template": "hello"}'),
        "no place for a picture",
    ),
    "a template that is a number": (
        write("chat_template.json", '{"chat_template": 1}'),
        "the chat template in chat_template.json is not text",
    ),
    "a template of bytes": (lambda f: (f / "chat_template.jinja").write_bytes(b"\xff"), "not text in UTF-8"),
    "a template that is a folder": (
        lambda f: (f / "chat_template.jinja").mkdir(),
        "chat_template.jinja cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_named(folder: Path, damage: str) -> None:
    assert_problem(folder, *DAMAGES[damage])


def test_the_chat_template_is_its_own_file_else_chat_template_json_else_in_the_tokenizers_config(
    folder: Path,
) -> None:
    published = json.loads((folder / "chat_template.json").read_text(encoding="utf-8"))["chat_template"]
    set_values("tokenizer_config.json", chat_template="of the tokenizer")(folder)
    assert read_chat_template(folder) == published
    write("chat_template.jinja", "of its own file")(folder)
    assert read_chat_template(folder) == "of its own file"
    remove("chat_template.jinja", "chat_template.json")(folder)
    assert read_chat_template(folder) == "of the tokenizer"
    set_values("tokenizer_config.json", chat_template=None)(folder)
    assert read_chat_template(folder) is None


def test_an_early_name_of_the_image_processor_is_no_damage(folder: Path) -> None:
    set_values("preprocessor_config.json", image_processor_type="Qwen2_5_VLImageProcessor")(folder)
    assert list(validate_checkpoint(folder)) == []


def test_image_settings_may_stand_in_the_file_that_todays_transformers_writes(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    remove("preprocessor_config.json")(folder)
    write("processor_config.json", json.dumps({"image_processor": settings}))(folder)
    assert list(validate_checkpoint(folder)) == []
    write("processor_config.json", json.dumps({"image_processor": settings | {"patch_size": 16}}))(folder)
    assert list(validate_checkpoint(folder)) == [
        "processor_config.json cuts patches of 16 pixels, and config.json says 14"
    ]
    write("processor_config.json", json.dumps({"processor_class": "Qwen2_5_VLProcessor"}))(folder)
    assert list(validate_checkpoint(folder)) == ["preprocessor_config.json is missing"]


def test_a_tokenizer_that_is_repaired_is_validated_again(folder: Path) -> None:
    original = (folder / "tokenizer.json").read_bytes()
    edit_json("tokenizer.json", remove_yes)(folder)
    assert list(validate_checkpoint(folder))
    (folder / "tokenizer.json").write_bytes(original)
    assert list(validate_checkpoint(folder)) == []


def test_a_folder_that_may_not_be_read_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        assert "config.json cannot be read (Permission denied)" in list(validate_checkpoint(folder))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        with pytest.raises(CheckpointError, match="Permission denied"):
            find_checkpoint(str(folder))


def test_a_file_and_a_missing_folder_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in next(validate_checkpoint(tmp_path / "file"))
    assert "there is no folder" in next(validate_checkpoint(tmp_path / "none"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", FIRST])
def test_a_named_pipe_in_place_of_a_file_is_reported_without_waiting(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{name} is not a regular file" in validate_checkpoint(folder)
