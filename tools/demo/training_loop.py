"""Steps until the time is over, with their learning rates and the means to log."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import nn


def training_steps(minutes: float, rate: float, optimizers: list[torch.optim.Optimizer]) -> Iterator[tuple[int, float]]:
    """(step, share of the time gone) until the time is over; the learning rate warms up, then falls as a cosine."""
    start, step = time.monotonic(), 0
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        warmup, cosine = min(1.0, (step + 1) / 40), 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * warmup * (0.02 + 0.98 * cosine)
        yield step, progress
        step += 1


def update_weights(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class RunningMean:
    """Means since they were last printed."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def __str__(self) -> str:
        text = "  ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in self.values.items())
        self.values.clear()
        return text
