"""What one writes after reading the model card, to measure against: every image runs the whole prompt through the whole
model, with transformers' own attention, norms, processor and `generate()`, and nothing is reused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import BatchFeature, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor

from lychee_rerank.images.load import load_image
from lychee_rerank.model.rms_norm import fuse_norms
from lychee_rerank.model.vision_attention import fuse_attention
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.results import ScoringMethod
from lychee_rerank.text import prompts
from lychee_rerank.text.query import normalize_query


class TransformersBaseline:
    """Scores with the weights of `loaded`, which must not be used within this context: there its attention and norms
    are those of transformers.
    """

    def __init__(self, loaded: VisionLanguageModel, method: ScoringMethod, new_tokens: int) -> None:
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._processor = Qwen2_5_VLProcessor(
            loaded.image_processor, loaded.tokenizer, Qwen2VLVideoProcessor(), chat_template=loaded.chat_template
        )
        self._method, self._new_tokens = method, new_tokens
        self._vision_config = self._model.config.vision_config
        self._yes_no_ids = [self._tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no")]

    def __enter__(self) -> Self:
        fuse_attention(self._model.model.visual, fused=False)
        fuse_norms(self._model, fused=False)
        return self

    def __exit__(self, *_: object) -> None:
        fuse_attention(self._model.model.visual)
        fuse_norms(self._model)

    def stream(self, query: str, files: Iterable[bytes]) -> Iterator[float | str]:
        """One probability (yes_no) or one answer (generate) an image, in the order given."""
        build = prompts.yes_no_messages if self._method == "yes_no" else prompts.generate_messages
        messages = build(normalize_query(query), prompts.DEFAULT_INSTRUCTION)
        for file in files:
            inputs = self._inputs(messages, load_image(file).image)
            yield self._probability(inputs) if self._method == "yes_no" else self._answer(inputs)

    @torch.inference_mode()
    def _probability(self, inputs: BatchFeature) -> float:
        logits = self._model(**inputs).logits[0, -1, self._yes_no_ids].float()
        return float(torch.softmax(logits, 0)[0])

    @torch.inference_mode()
    def _answer(self, inputs: BatchFeature) -> str:
        output = self._model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self._new_tokens,
            repetition_penalty=1.0,
            pad_token_id=self._tokenizer.eos_token_id,
        )
        return str(self._tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _inputs(self, messages: prompts.Messages, image: Image.Image) -> BatchFeature:
        with_image = prompts.insert_image(messages, image)
        text = self._processor.apply_chat_template(with_image, tokenize=False, add_generation_prompt=True)
        images, _ = process_vision_info(with_image, image_patch_size=self._vision_config.patch_size)
        inputs = self._processor(text=text, images=images, return_tensors="pt")
        return inputs.to(self._model.device, self._model.dtype)


def insert_resized_image(messages: prompts.Messages, image: Image.Image, patch_size: int) -> prompts.Messages:
    """The messages with the image in place, in the size that plain transformers gives to the processor."""
    images, _ = process_vision_info(prompts.insert_image(messages, image), image_patch_size=patch_size)
    return prompts.insert_image(messages, images[0])
