"""Small random checkpoints of the real architectures, written as folders in every layout that is in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from tools.published_checkpoint import flat_config, published_name, write_index

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}"
    "{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = [
    "yes",
    "no",
    "Judge",
    "whether",
    "Document",
    "Query",
    "Instruct",
    "猫",
    "红色",
    "得分",
    "Score",
    "Reason",
    "理由",
]


def write_checkpoint(folder: Path, *, seed: int = 0, windows: bool = True, tied: bool = False) -> Path:
    """A Qwen2.5-VL in the layout that transformers 5 writes; `tied` as in the 3B model."""
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer.get_vocab(), windows, tied))
    return _write_folder(folder, model, tokenizer, _preprocessor("Qwen2VLImageProcessor"))


def write_qwen3(folder: Path, *, seed: int = 0, tied: bool = True) -> Path:
    """A Qwen3-VL as the rerankers of that family are published; `tied` as in the 2B model."""
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(_qwen3_config(tokenizer.get_vocab(), tied))
    preprocessor = {
        **_preprocessor("Qwen2VLImageProcessorFast"),
        "processor_class": "Qwen3VLProcessor",
        "size": {"shortest_edge": 65536, "longest_edge": 16777216},
        "patch_size": 16,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    del preprocessor["min_pixels"], preprocessor["max_pixels"]
    return _write_folder(folder, model, tokenizer, preprocessor)


def write_published_qwen3(folder: Path, *, seed: int = 0) -> Path:
    """The layout in which the 2B and 8B rerankers were published: rope_scaling and rope_theta apart in the config."""
    write_qwen3(folder, seed=seed)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rope = config["text_config"].pop("rope_parameters")
    config["text_config"]["rope_theta"] = rope.pop("rope_theta")
    config["text_config"]["rope_scaling"] = rope
    config["vision_config"]["model_type"] = "qwen3_vl"
    config["vision_config"].pop("rope_parameters", None)
    _write(folder / "config.json", config)
    return folder


def write_published(
    folder: Path, *, seed: int = 0, processor: str = "Qwen2VLImageProcessor", shards: int = 2, tied: bool = False
) -> Path:
    """The layout in which lychee-rerank-mm was published: old keys, flat config, chat_template.json, shards."""
    write_checkpoint(folder, seed=seed, tied=tied)
    (folder / "chat_template.jinja").unlink()
    _write(folder / "chat_template.json", {"chat_template": TEMPLATE})
    _write(folder / "preprocessor_config.json", _preprocessor(processor))
    _write(folder / "config.json", flat_config(json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    old_layout = {published_name(name): value for name, value in weights.items()}
    weight_map = {}
    for number in range(shards):
        names = sorted(old_layout)[number::shards]
        shard = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: old_layout[name].contiguous() for name in names}, folder / shard, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(names, shard))
    write_index(folder, weight_map, sum(value.nbytes for value in weights.values()))
    return folder


def _write_folder(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, preprocessor: dict[str, Any]) -> Path:
    """Weights are larger than in a usual initialization, so that mistakes show in the scores."""
    with torch.no_grad():
        for name, weight in model.float().named_parameters():
            if weight.ndim > 1:
                weight.mul_(3.0 if "visual" in name else 6.0)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    _write(folder / "preprocessor_config.json", preprocessor)
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        WORDS * 3, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def _config(ids: dict[str, int], windows: bool, tied: bool) -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(ids),
            "hidden_size": 96,
            "intermediate_size": 160,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
            "tie_word_embeddings": tied,
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 4,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 4,
            "out_hidden_size": 96,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": 56 if windows else 112,
            "fullatt_block_indexes": [1, 3],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=tied,
    )


def _qwen3_config(ids: dict[str, int], tied: bool) -> Qwen3VLConfig:
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(ids),
            "hidden_size": 96,
            "intermediate_size": 160,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": tied,
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 4,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 4,
            "out_hidden_size": 96,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0, 1, 2],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=tied,
    )


def _preprocessor(name: str) -> dict[str, object]:
    return {
        "image_processor_type": name,
        "processor_class": "Qwen2_5_VLProcessor",
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "size": {"shortest_edge": 3136, "longest_edge": 12845056},
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
