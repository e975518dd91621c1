"""sentence-transformers' CrossEncoder over the same checkpoint and the same prompts.

It is no dependency of this package, and knows no prefix and no image features: each pair is scored from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from lychee_rerank.benchmark.baseline import insert_resized_image
from lychee_rerank.errors import ModelError
from lychee_rerank.images.load import load_image
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.text import prompts
from lychee_rerank.text.query import normalize_query


class CrossEncoderPeer:
    """Loads the weights in `folder` a second time, beside those of `loaded`, with the same type and device.

    Raises ModelError where sentence-transformers is missing or too old, and what it raises on weights that it cannot
    load.
    """

    def __init__(self, folder: Path, loaded: VisionLanguageModel) -> None:
        try:
            from sentence_transformers import CrossEncoder
            from sentence_transformers.base.modules import Transformer
            from sentence_transformers.cross_encoder.modules import LogitScore
        except ImportError as error:
            raise ModelError("it is not installed, or older than 5.4") from error
        transformer = Transformer(
            str(folder),
            transformer_task="any-to-any",
            model_kwargs={"dtype": loaded.model.dtype},
            processing_kwargs={"chat_template": {"add_generation_prompt": True}},
        )
        yes, no = (loaded.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
        modules = [transformer, LogitScore(yes, no)]
        self._encoder: Any = CrossEncoder(
            modules=modules, device=str(loaded.model.device), activation_fn=torch.nn.Sigmoid()
        )
        self._patch_size = loaded.model.config.vision_config.patch_size

    def stream(self, query: str, files: Sequence[bytes], batch_size: int) -> Iterator[float]:
        """Ten times the probability of "yes", for `batch_size` files at a time."""
        messages = prompts.yes_no_messages(normalize_query(query))
        for start in range(0, len(files), batch_size):
            images = (load_image(file).image for file in files[start : start + batch_size])
            pairs = [insert_resized_image(messages, image, self._patch_size) for image in images]
            probabilities = self._encoder.predict(pairs, batch_size=batch_size, show_progress_bar=False)
            yield from (10 * float(probability) for probability in probabilities)
