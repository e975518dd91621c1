"""A Qwen2.5-VL in the real shapes with random weights, created on the device: for speed and memory, not for scores.

The tokenizer is the demo checkpoint's, so a prompt is a few tokens shorter or longer than with the real one.
Embeddings and lm_head have as many rows as in the real model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessor

from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.weights.locate import DEMO_FOLDER
from lychee_rerank.weights.validate import read_chat_template


@dataclass(frozen=True)
class ModelDims:
    """What differs between the sizes of the family. The head size is always 128, that of the vision tower 80."""

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
    """A model of `SIZES` on the first GPU, else on the CPU, with the demo checkpoint's tokenizer and template."""
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            model_config(SIZES[size], tokenizer), dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
    # The limits in the published preprocessor_config.json.
    processor = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12_845_056)
    loaded = VisionLanguageModel(model, tokenizer, processor, read_chat_template(DEMO_FOLDER))
    loaded.enable_cuda_graphs()
    return loaded


def model_config(dims: ModelDims, tokenizer: Any) -> Qwen2_5_VLConfig:
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad", "im_end")}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": dims.vocabulary,
            "hidden_size": dims.hidden,
            "intermediate_size": dims.intermediate,
            "num_hidden_layers": dims.layers,
            "num_attention_heads": dims.heads,
            "num_key_value_heads": dims.key_value_heads,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "tie_word_embeddings": dims.tied,
            "bos_token_id": None,
            "eos_token_id": ids["im_end"],
        },
        vision_config={
            "depth": dims.vision_depth,
            "hidden_size": dims.vision_hidden,
            "intermediate_size": dims.vision_intermediate,
            "num_heads": dims.vision_hidden // 80,
            "out_hidden_size": dims.hidden,
            "fullatt_block_indexes": list(dims.full_blocks),
            "window_size": 112,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        tie_word_embeddings=dims.tied,
    )
