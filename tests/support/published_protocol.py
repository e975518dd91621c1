"""The published way to score and to answer, with plain transformers, as the reference for scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2VLImageProcessor

from lychee_rerank.text.prompts import Messages, generate_messages, insert_image, yes_no_messages
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.validate import read_chat_template


class PublishedProtocol:
    """Loads a checkpoint in float32 and runs the whole prompt through the whole model for every image."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = Qwen2VLImageProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.template = read_chat_template(folder)

    @torch.inference_mode()
    def probability(self, query: str, image: Image.Image) -> float:
        inputs = self._inputs(yes_no_messages(normalize_query(query)), image)
        logits = self.model(**inputs).logits[0, -1]
        yes, no = (self.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
        return torch.softmax(logits[[yes, no]], 0)[0].item()

    @torch.inference_mode()
    def answer(self, query: str, image: Image.Image, max_new_tokens: int) -> str:
        inputs = self._inputs(generate_messages(normalize_query(query)), image)
        output = self.model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens, repetition_penalty=1.0)
        return str(self.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _inputs(self, messages: Messages, image: Image.Image) -> dict[str, Any]:
        with_image = insert_image(messages, image)
        text = self.tokenizer.apply_chat_template(
            with_image, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )
        images, _ = process_vision_info(with_image, image_patch_size=self.model.config.vision_config.patch_size)
        pixels = self.processor(images=images, return_tensors="pt")
        count = int(pixels["image_grid_thw"].prod()) // 4
        text = text.replace("<|image_pad|>", "<|image_pad|>" * count)
        token_ids = self.tokenizer(text, return_tensors="pt")["input_ids"]
        return {
            "input_ids": token_ids,
            "attention_mask": torch.ones_like(token_ids),
            "pixel_values": pixels["pixel_values"],
            "image_grid_thw": pixels["image_grid_thw"],
            "mm_token_type_ids": (token_ids == self.model.config.image_token_id).int(),
        }
