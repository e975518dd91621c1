"""The decoder's attention for CUDA graphs: over a KV cache of fixed size, in fewer kernels than transformers'.

A recorded pass is a thousand small kernels, each of which takes a GPU some microseconds. Here query and key are rotated
together (`vision_attention.py` does the same), the cache holds keys and values once for each query head, so that they
need not be repeated in every pass, and where the tokens of a pass belong is computed once for all layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lychee_rerank.model.rms_norm import replace_forward
from lychee_rerank.model.vision_attention import rotate


class FixedCache:
    """Keys and values of up to `length` tokens for every layer.

    index: (n,), where the tokens of the present pass belong. mask: (1, 1, n, length), what they attend to.
    rotary: two factors (1, n, 1, head_dim) for `rotate`.
    """

    index: Tensor
    mask: Tensor
    rotary: tuple[Tensor, Tensor]

    def __init__(self, config: Any, length: int, like: Tensor) -> None:
        """Of the type and on the device of `like`."""
        self.length = length
        self._heads = config.num_attention_heads
        head_dim = config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, 1, self._heads, length, head_dim)
        self._keys, self._values = like.new_zeros(shape), like.new_zeros(shape)

    def update(self, key: Tensor, value: Tensor, layer: int, index: Tensor) -> tuple[Tensor, Tensor]:
        """Put key and value (1, key_value_heads, n, head_dim) at `index`; returns all (1, heads, length, head_dim)."""
        for cached, new in ((self._keys[layer], key), (self._values[layer], value)):
            cached.index_copy_(2, index, new.repeat_interleave(self._heads // new.shape[1], 1))
        return self._keys[layer], self._values[layer]


def support_fixed_cache(language_model: nn.Module) -> None:
    """Make every attention of the decoder take a FixedCache as `past_key_values`, beside the caches of transformers."""
    for module in language_model.modules():
        if type(module).__name__.endswith("Attention"):
            replace_forward(module, _forward)


def _forward(attention: Any, hidden_states: Tensor, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
    """hidden_states: (1, n, hidden), as the first of the results."""
    if not isinstance(past_key_values, FixedCache):
        original = type(attention).forward
        return original(attention, hidden_states, *args, past_key_values=past_key_values, **kwargs)
    cache = past_key_values
    shape = (*hidden_states.shape[:2], -1, attention.head_dim)
    query_key = torch.cat([attention.q_proj(hidden_states), attention.k_proj(hidden_states)], -1).view(shape)
    query_key = rotate(query_key, *cache.rotary).transpose(1, 2)
    query, key = query_key[:, : attention.num_heads], query_key[:, attention.num_heads :]
    value = attention.v_proj(hidden_states).view(shape).transpose(1, 2)
    keys, values = cache.update(key, value, attention.layer_idx, cache.index)
    output = nn.functional.scaled_dot_product_attention(query, keys, values, cache.mask, scale=attention.scaling)
    return attention.o_proj(output.transpose(1, 2).flatten(2)), None
