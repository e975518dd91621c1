"""What one writes after reading the model card, to measure against: every image runs the whole prompt through the whole
model, with transformers' own attention, norms, processor and `generate()`, and nothing is reused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info

from lychee_rerank.images.load import load_image
from lychee_rerank.model.rms_norm import fuse_norms
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text import prompts
from lychee_rerank.text.query import normalize_query


class TransformersBaseline:
    """Scores with the weights of `loaded`, which must not be used within this context: there its attention and norms
    are those of transformers.
    """

    def __init__(self, loaded: VisionLanguageModel, method: ScoringMethod, new_tokens: int) -> None:
        self._loaded, self._model, self._tokenizer = loaded, loaded.model, loaded.tokenizer
        self._method, self._new_tokens = method, new_tokens
        self._vision_config = self._model.config.vision_config
        self._fused_attention = self._vision_config._attn_implementation
        self._yes_no_ids = [self._tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no")]

    def __enter__(self) -> Self:
        self._model.set_attn_implementation({"vision_config": "sdpa"})
        fuse_norms(self._model, fused=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._model.set_attn_implementation({"vision_config": self._fused_attention})
        fuse_norms(self._model)

    def stream(self, query: str, files: Iterable[bytes]) -> Iterator[float | str]:
        """One probability (yes_no) or one answer (generate) an image, in the order given."""
        build = prompts.yes_no_messages if self._method == "yes_no" else prompts.generate_messages
        messages = build(normalize_query(query), prompts.DEFAULT_INSTRUCTION)
        for file in files:
            inputs = self._inputs(messages, load_image(file).image)
            yield self._probability(inputs) if self._method == "yes_no" else self._answer(inputs)

    @torch.inference_mode()
    def _probability(self, inputs: dict[str, Any]) -> float:
        logits = self._model(**inputs).logits[0, -1, self._yes_no_ids].float()
        return float(torch.softmax(logits, 0)[0])

    @torch.inference_mode()
    def _answer(self, inputs: dict[str, Any]) -> str:
        output = self._model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self._new_tokens,
            repetition_penalty=1.0,
            pad_token_id=self._tokenizer.eos_token_id,
        )
        return str(self._tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _inputs(self, messages: prompts.Messages, image: Image.Image) -> dict[str, Any]:
        with_image = prompts.insert_image(messages, image)
        text = self._tokenizer.apply_chat_template(
            with_image, chat_template=self._loaded.chat_template, tokenize=False, add_generation_prompt=True
        )
        images, _ = process_vision_info(with_image, image_patch_size=self._vision_config.patch_size)
        pixels = self._loaded.image_processor(images=images, return_tensors="pt")
        image_tokens = int(pixels["image_grid_thw"].prod()) // self._vision_config.spatial_merge_size**2
        text = text.replace("<|image_pad|>", "<|image_pad|>" * image_tokens)
        token_ids = self._tokenizer(text, return_tensors="pt")["input_ids"]
        inputs = {
            "input_ids": token_ids,
            "attention_mask": torch.ones_like(token_ids),
            "pixel_values": pixels["pixel_values"].to(self._model.dtype),
            "image_grid_thw": pixels["image_grid_thw"],
            "mm_token_type_ids": (token_ids == self._model.config.image_token_id).int(),
        }
        return {name: value.to(self._model.device) for name, value in inputs.items()}
