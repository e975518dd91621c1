"""A decoder for CUDA graphs: its KV cache has a fixed size, and how many tokens it holds is data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lychee_rerank.model.cuda_graphs import GraphCache
from lychee_rerank.model.decoder import DynamicDecoder
from lychee_rerank.model.static_attention import FixedCache, support_fixed_cache
from lychee_rerank.model.vision_attention import signed_rotary

_MAX_LENGTH = 640  # tokens of a prompt with its image and answer; a longer one is computed without graphs
_ROUNDING = 16  # numbers of tokens are rounded up to a multiple, so that few graphs serve all answers


class StaticDecoder:
    """A Decoder over one KV cache of fixed size, whose passes run as CUDA graphs. It takes a prompt's prefix from a
    DynamicDecoder.
    """

    def __init__(self, language_model: Any) -> None:
        self.length = 0
        self._language_model = language_model
        self._cache = FixedCache(language_model.config, _MAX_LENGTH, language_model.embed_tokens.weight)
        self._graphs = GraphCache()
        self._prefix: DynamicDecoder | None = None
        support_fixed_cache(language_model)

    def load(self, prefix: DynamicDecoder) -> None:
        """Make the cache hold what `prefix` holds."""
        if self._prefix is not prefix:
            index = torch.arange(prefix.length, device=self._language_model.embed_tokens.weight.device)
            for number, layer in enumerate(prefix.cache.layers):
                self._cache.update(layer.keys, layer.values, number, index)
            self._prefix = prefix
        self.length = prefix.length

    def forward(self, embeddings: Tensor, positions: Tensor, **_deepstack: Any) -> Tensor:
        """As `Decoder.forward`, but without DeepStack; the cache must have room for n rounded up."""
        count = embeddings.shape[1]
        padding = -count % _ROUNDING if count > 1 else 0
        # What is computed for padding lies after all tokens, which do not attend to it, and is overwritten.
        embeddings = nn.functional.pad(embeddings, (0, 0, 0, padding))
        positions = nn.functional.pad(positions, (0, padding))
        start = torch.tensor(self.length, device=embeddings.device)
        hidden = self._graphs.run(count + padding, self._pass, embeddings, positions, start)
        self.length += count
        return hidden[:, :count]

    def crop(self, length: int) -> None:
        self.length = length

    def has_room(self, count: int) -> bool:
        """Whether a prompt and answer of `count` tokens fit, rounded up once more for drafts."""
        return count + 2 * _ROUNDING <= self._cache.length

    def _pass(self, embeddings: Tensor, positions: Tensor, start: Tensor) -> Tensor:
        """Hidden states of tokens that follow the first `start` in the cache; reads and writes fixed buffers only."""
        index = torch.arange(self._cache.length, device=start.device)
        self._cache.index = start + index[: embeddings.shape[1]]
        self._cache.mask = (index <= self._cache.index[:, None])[None, None]
        cos, sin = self._language_model.rotary_emb(embeddings, positions)
        self._cache.rotary = cos[:, :, None], signed_rotary(sin)[:, :, None]
        hidden: Tensor = self._language_model(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=self._cache,
            attention_mask={"full_attention": self._cache.mask},
            use_cache=True,
        ).last_hidden_state
        return hidden
