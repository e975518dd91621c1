"""What is wrong with a checkpoint folder is named, in one sentence each, before anything is loaded."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import find_checkpoint
from lychee_rerank.weights.validate import INDEX, validate_checkpoint

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


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


def change(name: str, **values: object) -> Callable[[Path], None]:
    """Values in a JSON file; None takes one out."""

    def changed(folder: Path) -> None:
        content = {**json.loads((folder / name).read_text(encoding="utf-8")), **values}
        kept = {key: value for key, value in content.items() if value is not None}
        (folder / name).write_text(json.dumps(kept), encoding="utf-8")

    return changed


def index_names(shard: object) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        index["weight_map"] = {tensor: shard if held == FIRST else held for tensor, held in index["weight_map"].items()}
        (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")

    return changed


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The header of the first shard, changed; its weights stay."""

    def changed(folder: Path) -> None:
        raw = (folder / FIRST).read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        content = json.loads(raw[8 : 8 + length])
        change(content)
        written = json.dumps(content).encode()
        (folder / FIRST).write_bytes(struct.pack("<Q", len(written)) + written + raw[8 + length :])

    return changed


def both_headers(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        for first, second in ((FIRST, SECOND), (SECOND, FIRST)):
            shutil.move(folder / first, folder / "kept")
            shutil.move(folder / second, folder / FIRST)
            header(change)(folder)
            shutil.move(folder / FIRST, folder / second)
            shutil.move(folder / "kept", folder / first)

    return changed


def same_place_twice(tensors: dict[str, Any]) -> None:
    places: dict[str, list[int]] = {}
    for entry in (entry for name, entry in tensors.items() if name != "__metadata__"):
        entry["data_offsets"] = places.setdefault(str(entry["shape"]), entry["data_offsets"])


def turn_a_matrix(tensors: dict[str, Any]) -> None:
    for name in (name for name in tensors if name.endswith("layers.1.mlp.up_proj.weight")):
        tensors[name]["shape"].reverse()


def without_a_matrix(folder: Path) -> None:
    """From the index and, by another name, from the weights."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    del index["weight_map"]["model.layers.1.mlp.up_proj.weight"]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    both_headers(
        lambda held: [
            held.update({"model.unknown": held.pop(name)})
            for name in list(held)
            if name.endswith("layers.1.mlp.up_proj.weight")
        ]
    )(folder)


def begin_with(mark: bytes, name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(mark + (folder / name).read_bytes()) and None


def folder_for(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink() or (folder / name).mkdir()


def link_to_nowhere(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink() or (folder / name).symlink_to("../../blobs/gone")


def without_word(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    del tokenizer["model"]["vocab"]["yes"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def only_an_adapter(folder: Path) -> None:
    remove(INDEX, FIRST, SECOND)(folder)
    write("adapter_config.json", "{}")(folder)


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
    "another architecture": (change("config.json", architectures=["LlamaForCausalLM"]), "LlamaForCausalLM"),
    "an architecture that is a number": (change("config.json", architectures=3), "describes 3, not a Qwen2.5-VL"),
    "another type than its architecture": (change("config.json", model_type="llama"), "also says model_type 'llama'"),
    "quantized weights": (change("config.json", quantization_config={"quant_method": "awq"}), "quantized (awq)"),
    "another vocabulary": (change("config.json", vocab_size=5000), "embeddings of 5000 x 96, and the weights hold"),
    "more blocks than weights": (
        change("config.json", num_hidden_layers=9),
        "9 decoder blocks, and the weights hold 3",
    ),
    "fewer blocks than weights": (
        change("config.json", num_hidden_layers=2),
        "2 decoder blocks, and the weights hold 3",
    ),
    "blocks below nothing": (change("config.json", num_hidden_layers=-1), "(num_hidden_layers)"),
    "a width left out": (change("config.json", hidden_size=None), "does not say how wide the model is (hidden_size)"),
    "no vision tower": (change("config.json", vision_config=None), "(vision_config, depth)"),
    "no rotary positions": (change("config.json", rope_scaling=None), "(rope_scaling)"),
    "a config nested without end": (write("config.json", "[" * 200_000), "config.json cannot be read as JSON"),
    "a config that begins with a mark": (begin_with(b"\xef\xbb\xbf", "config.json"), "begins with a byte order mark"),
    "a config that is a folder": (folder_for("config.json"), "config.json cannot be read ("),
    "a config that is a pointer": (write("config.json", "version https://git-lfs.github.com/spec/v1\n"), "git-lfs"),
    "an index that leaves the folder": (index_names("../outside.safetensors"), 'names "../outside.safetensors"'),
    "an index that names a pickle": (index_names("model.bin"), 'names "model.bin", which is no safetensors file'),
    "an index that names the folder": (index_names("."), 'names ".", which is no safetensors file of this folder'),
    "an index without a map": (write(INDEX, '{"weight_map": ["a"]}'), "names no weights"),
    "a shard that is a folder": (folder_for(FIRST), f"{FIRST} cannot be read ("),
    "a shard linked to nowhere": (link_to_nowhere(SECOND), f"{SECOND} is missing"),
    "a huge header": (lambda f: (f / FIRST).write_bytes(b"\xff" * 8 + b"{}"), f"{FIRST} is not a safetensors file"),
    "a header nested without end": (
        lambda f: (f / FIRST).write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000),
        f"{FIRST} is not a safetensors file",
    ),
    "a tensor that is a number": (header(lambda held: held.update(odd=5)), f"{FIRST} is not a safetensors file"),
    "a tensor before the start": (
        header(lambda held: held.update(odd={"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]})),
        f"{FIRST} is not a safetensors file",
    ),
    "a tensor of no known kind": (
        header(lambda held: held.update(odd={"dtype": "Q9", "shape": [], "data_offsets": [0, 0]})),
        f"{FIRST} holds odd as Q9",
    ),
    "a tensor too short for its shape": (
        header(lambda held: held.update(odd={"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})),
        "odd has 4 bytes",
    ),
    "two tensors in one place": (header(same_place_twice), "do not lie one behind the other"),
    "a matrix turned": (both_headers(turn_a_matrix), "layers.1.mlp.up_proj.weight has not the shape"),
    "a matrix missing": (without_a_matrix, "the weights do not hold model.layers.1.mlp.up_proj.weight"),
    "only an adapter": (only_an_adapter, "only an adapter (LoRA)"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer is missing"),
    "a broken tokenizer": (cut("tokenizer.json", 100), "tokenizer.json cannot be read as JSON"),
    "a tokenizer without words": (write("tokenizer.json", "{}"), "tokenizer.json holds no vocabulary"),
    "a vocabulary without yes": (without_word, 'does not hold "yes" as one piece'),
    "half a tokenizer": (lambda f: shutil.move(f / "tokenizer.json", f / "vocab.json"), "merges.txt is missing"),
    "a broken tokenizer_config": (
        write("tokenizer_config.json", "[]"),
        "tokenizer_config.json does not hold an object",
    ),
    "patches of no size": (change("preprocessor_config.json", patch_size="x"), "does not say patch_size"),
    "patches of another size": (change("preprocessor_config.json", patch_size=16), "patches of 16 pixels"),
    "a template without pictures": (
        write("chat_template.json", '{"chat_template": "hello"}'),
        "no place for a picture",
    ),
    "a template that is no text": (lambda f: (f / "chat_template.jinja").write_bytes(b"\xff"), "not text in UTF-8"),
    "no preprocessor": (remove("preprocessor_config.json"), "preprocessor_config.json is missing"),
    "a broken preprocessor": (write("preprocessor_config.json", ""), "preprocessor_config.json cannot be read"),
    "no chat template": (remove("chat_template.json"), "chat template is missing"),
    "a broken chat template": (write("chat_template.json", "{"), "chat_template.json cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_named(folder: Path, damage: str) -> None:
    harm, words = DAMAGES[damage]
    harm(folder)
    assert any(words in problem for problem in validate_checkpoint(folder)), list(validate_checkpoint(folder))
    with pytest.raises(CheckpointError, match="cannot be used") as refused:
        find_checkpoint(str(folder))
    assert words in str(refused.value)


def test_an_early_name_of_the_picture_processor_is_no_damage(folder: Path) -> None:
    change("preprocessor_config.json", image_processor_type="Qwen2_5_VLImageProcessor")(folder)
    assert list(validate_checkpoint(folder)) == []


def test_picture_settings_may_stand_in_the_file_that_todays_transformers_writes(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    remove("preprocessor_config.json")(folder)
    write("processor_config.json", json.dumps({"image_processor": settings}))(folder)
    assert list(validate_checkpoint(folder)) == []
    write("processor_config.json", json.dumps({"processor_class": "Qwen2_5_VLProcessor"}))(folder)
    assert list(validate_checkpoint(folder)) == ["preprocessor_config.json is missing"]


def test_a_tokenizer_that_is_repaired_is_looked_at_again(folder: Path) -> None:
    kept = (folder / "tokenizer.json").read_bytes()
    without_word(folder)
    assert list(validate_checkpoint(folder))
    (folder / "tokenizer.json").write_bytes(kept)
    assert list(validate_checkpoint(folder)) == []


def test_a_folder_that_may_not_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        assert "config.json cannot be read (Permission denied)" in list(validate_checkpoint(folder))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        with pytest.raises(CheckpointError, match="Permission denied"):
            find_checkpoint(str(folder))


def test_a_file_and_a_missing_folder_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in next(validate_checkpoint(tmp_path / "file"))
    assert "there is no folder" in next(validate_checkpoint(tmp_path / "none"))


def test_a_vision_tower_like_the_familys_first_need_not_say_how_deep_it_is(folder: Path) -> None:
    """transformers 4.49, which wrote the published checkpoint, left such values out."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["vision_config"] = {name: config["vision_config"][name] for name in ("hidden_size", "in_chans")}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert list(validate_checkpoint(folder)) == []
