"""Random numbers for a batch, all from one generator, so that the same seed renders the same images."""

from __future__ import annotations

import torch
from torch import Tensor


class BatchRandom:
    """Draws (batch, ...) tensors from `generator`."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, batch: int, low: float, high: float) -> Tensor:
        """(batch,) numbers from `low` to `high`."""
        return low + (high - low) * self.rand(batch)

    def bernoulli(self, batch: int, probability: float) -> Tensor:
        """(batch,) true with this probability."""
        return self.rand(batch) < probability

    def randint(self, batch: int, bound: int) -> Tensor:
        """(batch,) integers below `bound`."""
        return torch.randint(bound, (batch,), generator=self.generator)

    def multinomial(self, weights: Tensor, count: int) -> Tensor:
        """`count` indexes for each row of `weights`, with replacement."""
        return torch.multinomial(weights, count, replacement=True, generator=self.generator)

    def rand(self, *shape: int) -> Tensor:
        """Numbers from 0 to 1."""
        return torch.rand(*shape, generator=self.generator)

    def randn(self, *shape: int) -> Tensor:
        """Normally distributed numbers."""
        return torch.randn(*shape, generator=self.generator)
