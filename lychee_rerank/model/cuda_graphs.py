"""CUDA graphs: a forward pass recorded once and launched as a whole, instead of a thousand kernels one by one.

With one image at a time a fast GPU waits for the host to launch kernels. A graph has fixed addresses and shapes, so its
inputs are copied into buffers.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor
from transformers import PreTrainedModel

from lychee_rerank.devices.memory import GIB

# Of hidden states, relative to their norm. Other kernels round otherwise: 0.002 with the demo in BF16; a pass without
# its causal mask gives 0.4. Scores are a function of the hidden states, but near 0 and 10 they hide an error.
MAX_DIFFERENCE = 0.05
_MAX_GRAPHS = 16
_NEEDED_GIB = 1.4  # with a 7B: buffers, padding, and a KV cache of fixed size; 16.7 GiB in all instead of 15.5


def supports_cuda_graphs(model: PreTrainedModel, reserve_gib: float) -> bool:
    """Whether the model is of a kind, and placed so, that its passes can be recorded: unquantized, whole on one GPU
    with room to spare, every decoder block attending to all tokens, and no block reading the image features anew
    (DeepStack).
    """
    devices = {str(device) for device in (getattr(model, "hf_device_map", None) or {"": model.device}).values()}
    return (
        model.device.type == "cuda"
        and len(devices) == 1
        and not getattr(model, "is_quantized", False)
        and not hasattr(model.config.vision_config, "deepstack_visual_indexes")
        and set(model.model.language_model.config.layer_types) == {"full_attention"}
        and torch.cuda.mem_get_info(model.device)[0] > (reserve_gib + _NEEDED_GIB) * GIB
    )


def record(function: Callable[[], Tensor], memory_pool: Any) -> tuple[Callable[[], None], Tensor]:
    """Run a function of fixed buffers a few times, then record it: what replays it, and its output, which each replay
    overwrites, as may those of other recordings in the same memory pool.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the GPU meanwhile, such as one that asks for its free memory.
    with torch.cuda.graph(graph, pool=memory_pool, capture_error_mode="thread_local"):
        output = function()
    return graph.replay, output


@dataclass(frozen=True)
class _Recording:
    """`function` is kept for the tensors that it refers to: a replay reads them where they were."""

    function: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    output: Tensor


class GraphCache:
    """Functions of tensors, recorded by key; the least recently used recordings are dropped."""

    def __init__(self) -> None:
        self._recordings: LRUCache[Hashable, _Recording] = LRUCache(_MAX_GRAPHS)
        self._memory_pool = torch.cuda.graph_pool_handle()

    def run(self, key: Hashable, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """`function(*inputs)`. Calls with one key have inputs of the same shapes."""
        recording = self._recordings.get(key)
        if recording is None:
            buffers = tuple(tensor.clone() for tensor in inputs)
            recording = self._recordings[key] = _Recording(
                function, buffers, *record(lambda: function(*buffers), self._memory_pool)
            )
        for buffer, tensor in zip(recording.inputs, inputs, strict=True):
            buffer.copy_(tensor)
        recording.replay()
        return recording.output.clone()


def relative_difference(tensor: Tensor, expected: Tensor) -> float:
    """The norm of the difference, divided by that of `expected`."""
    return float(torch.linalg.norm((tensor - expected).float()) / torch.linalg.norm(expected.float()))
