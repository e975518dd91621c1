"""The published way to score and to write, with plain transformers: what the engine is held against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2VLImageProcessor

from lychee_rerank.text.prompts import Messages, generate_messages, insert_image, yes_no_messages
from lychee_rerank.text.query import normalize_query


class PublishedProtocol:
    """Loads a checkpoint in float32 and runs the whole prompt through the whole model for every picture."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = Qwen2VLImageProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        published = folder / "chat_template.json"
        self.template = (
            json.loads(published.read_text(encoding="utf-8"))["chat_template"]
            if published.exists()
            else (folder / "chat_template.jinja").read_text(encoding="utf-8")
        )

    @torch.inference_mode()
    def probability(self, query: str, picture: Image.Image) -> float:
        inputs = self._inputs(yes_no_messages(normalize_query(query)), picture)
        logits = self.model(**inputs).logits[0, -1]
        yes, no = (self.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
        return torch.softmax(logits[[yes, no]], 0)[0].item()

    @torch.inference_mode()
    def text(self, query: str, picture: Image.Image, tokens: int) -> str:
        inputs = self._inputs(generate_messages(normalize_query(query)), picture)
        out = self.model.generate(**inputs, do_sample=False, max_new_tokens=tokens, repetition_penalty=1.0)
        return str(self.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _inputs(self, messages: Messages, picture: Image.Image) -> dict[str, Any]:
        filled = insert_image(messages, picture)
        text = self.tokenizer.apply_chat_template(
            filled, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )
        pictures, _ = process_vision_info(filled, image_patch_size=self.model.config.vision_config.patch_size)
        seen = self.processor(images=pictures, return_tensors="pt")
        count = int(seen["image_grid_thw"].prod()) // 4
        ids = self.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")["input_ids"]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": seen["pixel_values"],
            "image_grid_thw": seen["image_grid_thw"],
            "mm_token_type_ids": (ids == self.model.config.image_token_id).int(),
        }
