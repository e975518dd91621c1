"""How fast a device is, measured on the operations that scoring is made of."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from timeit import Timer

from lychee_rerank.devices.memory import DeviceId

_LEAST_SECONDS, _REPEATS = 0.03, 7


@dataclass(frozen=True)
class DeviceSpeed:
    """flops: operations a second in matrix products. launch_time: seconds to start one small operation.
    read_rate: bytes of weights a second from the device's own memory. transfer_rate: the same from CPU memory to a GPU.
    """

    flops: float
    read_rate: float
    launch_time: float
    transfer_rate: float | None = None


def measure_speed(device: DeviceId, dtype: str = "bfloat16") -> DeviceSpeed:
    """With the shapes of Qwen2.5-VL-7B and 202 tokens, in one to two seconds.

    Raises RuntimeError if the device fails or has no room for a matrix of 136 MB (BF16).
    """
    import torch
    from torch.nn.functional import linear, rms_norm

    target = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    is_gpu = target.type != "cpu"

    def clock() -> float:
        if is_gpu:
            torch.accelerator.synchronize(target)
        return time.perf_counter()

    def seconds(function: Callable[[], object]) -> float:
        timer = Timer(function, timer=clock)
        count = next(1 << power for power in itertools.count() if timer.timeit(1 << power) >= _LEAST_SECONDS)
        return min(timer.repeat(_REPEATS, count)) / count  # whatever else the machine does only adds to it

    with torch.inference_mode():
        weight = torch.ones(18_944, 3584, dtype=getattr(torch, dtype), device=target)  # of an MLP
        square = weight if is_gpu else weight[:2048, :2048].contiguous()  # a slow CPU must be done in time too
        rows, row, small = square.new_ones(202, square.shape[1]), weight.new_ones(1, 3584), weight.new_ones(1, 256)
        host = torch.ones(2**25, dtype=torch.uint8)
        return DeviceSpeed(
            flops=2 * len(rows) * square.numel() / seconds(lambda: linear(rows, square)),
            read_rate=weight.nbytes / seconds(lambda: linear(row, weight)),
            launch_time=seconds(lambda: rms_norm(small, (256,))),
            transfer_rate=host.nbytes / seconds(lambda: host.to(target)) if is_gpu else None,
        )
