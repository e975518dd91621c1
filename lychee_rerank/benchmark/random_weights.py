"""The real architecture in the real shapes with random weights, made right on the device: for measuring, not judging.

The vocabulary is the demo checkpoint's, so a prompt is a few tokens shorter or longer than with the real one; the
rows of the embeddings and of lm_head are as many as in the real model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor

from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.weights.locate import DEMO_FOLDER


@dataclass(frozen=True)
class ModelDims:
    """What differs between the models of the family; head size 128, vision head size 80 but for the tiny one."""

    title: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tied: bool
    vision_hidden: int = 1280
    vision_intermediate: int = 3420
    vision_depth: int = 32
    full_blocks: tuple[int, ...] = (7, 15, 23, 31)


SIZES = {
    "7b": ModelDims("Qwen2.5-VL-7B", 3584, 18_944, 28, 28, 4, 152_064, False),
    "3b": ModelDims("Qwen2.5-VL-3B", 2048, 11_008, 36, 16, 2, 151_936, True),
    "tiny": ModelDims("tiny", 256, 512, 3, 2, 1, 8192, False, 160, 320, 4, (1, 3)),
}


def build_random_model(size: str, dtype: str = "bfloat16") -> VisionLanguageModel:
    """A model of `SIZES` on the first GPU, else on the CPU. Reads the demo checkpoint's tokenizer and template."""
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True)
    published = json.loads((DEMO_FOLDER / "chat_template.json").read_text(encoding="utf-8"))
    with _init_on_device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            _config(SIZES[size], tokenizer), dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
    # The pixel budget that the published preprocessor_config.json carries.
    processor = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12_845_056)
    return VisionLanguageModel(model, tokenizer, processor, published["chat_template"])


@contextmanager
def _init_on_device(device: str) -> Iterator[None]:
    torch.manual_seed(0)
    with torch.device(device):
        yield


def _config(shapes: ModelDims, tokenizer: Any) -> Qwen2_5_VLConfig:
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad", "im_end")}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": shapes.vocabulary,
            "hidden_size": shapes.hidden,
            "intermediate_size": shapes.intermediate,
            "num_hidden_layers": shapes.layers,
            "num_attention_heads": shapes.heads,
            "num_key_value_heads": shapes.key_value_heads,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "tie_word_embeddings": shapes.tied,
            "bos_token_id": None,
            "eos_token_id": ids["im_end"],
        },
        vision_config={
            "depth": shapes.vision_depth,
            "hidden_size": shapes.vision_hidden,
            "intermediate_size": shapes.vision_intermediate,
            "num_heads": shapes.vision_hidden // 80,
            "out_hidden_size": shapes.hidden,
            "fullatt_block_indexes": list(shapes.full_blocks),
            "window_size": 112,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        tie_word_embeddings=shapes.tied,
    )
