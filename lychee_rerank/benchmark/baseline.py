"""The plain loop: what one writes after reading the model card. Every picture runs the whole prompt through the whole
model, with transformers' own attention, processor and `generate()`; only `bench` uses it, to measure against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info

from lychee_rerank.images.load import load_image
from lychee_rerank.model.rms_norm import fuse_norms, unfuse_norms
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text import prompts
from lychee_rerank.text.query import normalize_query


class TransformersBaseline:
    """Scores with the weights of `loaded`. Inside its context vision tower and norms run as transformers runs them;
    the engine must not be used meanwhile.
    """

    def __init__(self, loaded: VisionLanguageModel, method: ScoringMethod, new_tokens: int) -> None:
        self._loaded, self._model, self._tokenizer = loaded, loaded.model, loaded.tokenizer
        self._method, self._new_tokens = method, new_tokens
        self._attention = self._model.config.vision_config._attn_implementation
        yes_no = (self._tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
        self._yes_no = torch.tensor(list(yes_no), device=self._model.device)

    def __enter__(self) -> TransformersBaseline:
        self._model.set_attn_implementation({"vision_config": "sdpa"})
        unfuse_norms(self._model)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model.set_attn_implementation({"vision_config": self._attention})
        fuse_norms(self._model)

    def stream(self, query: str, sources: Iterable[bytes]) -> Iterator[float | str]:
        """One probability or one text a picture, in the order given."""
        asked = normalize_query(query)
        build = prompts.yes_no_messages if self._method == "yes_no" else prompts.generate_messages
        for source in sources:
            inputs = self._inputs(build(asked, prompts.DEFAULT_INSTRUCTION), load_image(source).image)
            yield self._probability(inputs) if self._method == "yes_no" else self._text(inputs)

    @torch.inference_mode()
    def _probability(self, inputs: dict[str, Any]) -> float:
        pair = self._model(**inputs).logits[0, -1, self._yes_no].float()
        return float(torch.softmax(pair, 0)[0])

    @torch.inference_mode()
    def _text(self, inputs: dict[str, Any]) -> str:
        out = self._model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self._new_tokens,
            repetition_penalty=1.0,
            pad_token_id=self._tokenizer.eos_token_id,
        )
        return str(self._tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _inputs(self, messages: prompts.Messages, picture: Image.Image) -> dict[str, Any]:
        filled = prompts.insert_image(messages, picture)
        text = self._tokenizer.apply_chat_template(
            filled, chat_template=self._loaded.chat_template, tokenize=False, add_generation_prompt=True
        )
        pictures, _ = process_vision_info(filled)
        seen = self._loaded.image_processor(images=pictures, return_tensors="pt")
        tokens = int(seen["image_grid_thw"].prod()) // self._model.config.vision_config.spatial_merge_size**2
        text = text.replace("<|image_pad|>", "<|image_pad|>" * tokens)
        ids = self._tokenizer(text, return_tensors="pt")["input_ids"]
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": seen["pixel_values"].to(self._model.dtype),
            "image_grid_thw": seen["image_grid_thw"],
            "mm_token_type_ids": (ids == self._model.config.image_token_id).int(),
        }
        return {name: value.to(self._model.device) for name, value in inputs.items()}
