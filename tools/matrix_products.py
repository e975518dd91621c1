"""The least time that a piece of work can take on this machine: that of its products with weights, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def synchronized_clock() -> float:
    """Seconds, after what a GPU was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class MatrixProducts(TorchDispatchMode):
    """Records every product with a matrix of weights: the rows of the input, and the matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.operands: list[tuple[int, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        aten = torch.ops.aten
        if func is aten.linear.default:
            self._record(output, args[1].t())
        elif func in (aten.mm.default, aten.addmm.default):
            self._record(output, args[-1])
        elif func in (aten.convolution.default, aten.conv3d.default):  # of patches that do not overlap: a product too
            self._record(output, args[1].flatten(1).t())
        return output

    def _record(self, output: Tensor, weight: Tensor) -> None:
        if weight.ndim == 2:
            self.operands.append((output.numel() // weight.shape[1], weight))

    def seconds(self) -> float:
        """How long the products alone take, one after the other; the best of three times."""
        sizes = {(rows, weight.shape[0], weight.dtype, weight.device) for rows, weight in self.operands}
        inputs = {key: torch.randn(*key[:2], dtype=key[2], device=key[3]) for key in sizes}
        times = []
        for _ in range(3):
            start = synchronized_clock()
            for rows, weight in self.operands:
                torch.mm(inputs[rows, weight.shape[0], weight.dtype, weight.device], weight)
            times.append(synchronized_clock() - start)
        return min(times)
