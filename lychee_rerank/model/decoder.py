"""The language model over a KV cache: one pass after another over one sequence, whose end can be cropped off again."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedConfig


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
