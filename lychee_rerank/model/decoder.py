"""The language model over a KV cache: one pass after another over one sequence, whose end can be cropped off again."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedConfig

from lychee_rerank.model.vision_tower import ImageFeatures


class Decoder(Protocol):
    """A sequence in a KV cache, and the language model that extends it."""

    @property
    def length(self) -> int:
        """How many tokens the cache holds."""

    def forward(self, embeddings: Tensor, positions: Tensor, **deepstack: Any) -> Tensor:
        """Hidden states (1, n, hidden) of embeddings (1, n, hidden) at positions (3, 1, n); the cache grows by n."""

    def crop(self, length: int) -> None:
        """Forget all tokens but the first `length`."""


class DynamicDecoder:
    """A Decoder with a KV cache of its own, which grows; on any devices."""

    def __init__(self, language_model: nn.Module, config: PreTrainedConfig) -> None:
        self._language_model = language_model
        self.cache = DynamicCache(config=config)

    @property
    def length(self) -> int:
        return int(self.cache.get_seq_length())

    def forward(self, embeddings: Tensor, positions: Tensor, **deepstack: Any) -> Tensor:
        hidden: Tensor = self._language_model(
            inputs_embeds=embeddings, position_ids=positions, past_key_values=self.cache, use_cache=True, **deepstack
        ).last_hidden_state
        return hidden

    def crop(self, length: int) -> None:
        if surplus := self.length - length:
            self.cache.crop(-surplus)


def deepstack_kwargs(features: ImageFeatures, embeddings: Tensor) -> dict[str, Any]:
    """How the decoder takes `features.deepstack`; {} where there is none. Image tokens come first in `embeddings`."""
    if not features.deepstack:
        return {}
    is_image = torch.arange(embeddings.shape[1], device=embeddings.device) < len(features.tokens)
    return {"visual_pos_masks": is_image[None], "deepstack_visual_embeds": list(features.deepstack)}
