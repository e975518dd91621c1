"""A prompt up to its image, which all images of a ranking share, and the positions of what follows it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lychee_rerank.model.decoder import DynamicDecoder


class PromptPrefix:
    """A prompt, prefilled up to its image. Invariant: between images `decoder` holds exactly `token_ids`.

    token_ids: the tokens before the image. suffix_ids: those after it.
    last_answer: token ids of the last answer to this prompt, the draft of the next one.
    """

    def __init__(self, model: Any, decoder: DynamicDecoder, token_ids: list[int], suffix_ids: list[int]) -> None:
        self.decoder = decoder
        self.token_ids = token_ids
        self.suffix_ids = suffix_ids
        self.last_answer: list[int] = []
        self._model = model
        self._positions: dict[tuple[int, ...], tuple[Tensor, int]] = {}

    def positions(self, grid: Tensor) -> tuple[Tensor, int]:
        """Multimodal rotary positions (3, 1, n + s) of n image tokens and s suffix tokens, and the answer's first.

        grid: (1, 3), the image's patches in time, height and width. From the model's own `get_rope_index`, for which
        the whole prompt is put together, and cached. An image advances positions by its longer side, not by n.
        """
        shape = tuple(grid[0].tolist())
        if shape not in self._positions:
            config = self._model.config
            image_tokens = int(grid.prod()) // config.vision_config.spatial_merge_size**2
            token_ids = torch.tensor([self.token_ids + [config.image_token_id] * image_tokens + self.suffix_ids])
            is_image = (token_ids == config.image_token_id).int()
            positions, _ = self._model.model.get_rope_index(token_ids, mm_token_type_ids=is_image, image_grid_thw=grid)
            after_prefix = positions[:, :, len(self.token_ids) :].to(self._model.get_input_embeddings().weight.device)
            self._positions[shape] = after_prefix, int(positions.max()) + 1
        return self._positions[shape]


def text_positions(start: int, count: int, device: torch.device) -> Tensor:
    """Positions (3, 1, count) of text from `start` on: the same in time, height and width."""
    return torch.arange(start, start + count, device=device).expand(3, 1, -1)
