"""Too little memory for a model, said before anything of it is read, with what would fit. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lychee_rerank.devices.device_map import WORKSPACE_BYTES, plan_device_map
from lychee_rerank.devices.memory import DeviceId, device_name, format_bytes
from lychee_rerank.model.quantization import BYTES_PER_WEIGHT

_BF16_BYTES = 2
_SMALLER_RESERVES_GIB = (0.8, 0.4, 0.0)
_SMALLER_MODELS = {"a 3B model": 7_509_245_952, "Qwen/Qwen3-VL-Reranker-2B": 4_255_140_312}  # bytes of the weights


def describe_shortage(
    part_sizes: Mapping[str, int],
    free_bytes: Mapping[DeviceId, int],
    reserve_gib: float,
    *,
    name: str = "this model",
) -> str:
    """One sentence for a model, with parts in BF16 as for `plan_device_map`, that does not fit; "" where it does.

    It does not fit where CPU memory cannot hold it, or where part of it would be read from the disk for every picture.
    """
    if _fits(part_sizes, free_bytes, reserve_gib):
        return ""
    needed = format_bytes(sum(part_sizes.values()) + WORKSPACE_BYTES)
    free = " and ".join(f"{format_bytes(size)} of {device_name(device)}" for device, size in free_bytes.items())
    remedies = ["close other programs", *_remedies(part_sizes, free_bytes, reserve_gib)]
    return (
        f"There is too little memory for {name}: it needs {needed}, and {free} memory are free. What helps: "
        f"{'; '.join(remedies)}; or let another machine score (`--server`)."
    )


def _fits(part_sizes: Mapping[str, int], free_bytes: Mapping[DeviceId, int], reserve_gib: float) -> bool:
    plan = plan_device_map(part_sizes, free_bytes, reserve_gib)
    if plan.on_cpu:
        return sum(part_sizes.values()) + WORKSPACE_BYTES <= free_bytes["cpu"]
    return "disk" not in plan.device_map.values()


def _remedies(part_sizes: Mapping[str, int], free_bytes: Mapping[DeviceId, int], reserve_gib: float) -> Iterator[str]:
    """What else would fit: a smaller reserve on the GPU, fewer bits, a smaller model."""
    for smaller in _SMALLER_RESERVES_GIB:
        if smaller < reserve_gib and _fits(part_sizes, free_bytes, smaller):
            yield f"keep {smaller:g} GiB free on the GPU instead of {reserve_gib:g} (`--reserve {smaller:g}`)"
            break
    for bits, bytes_per_weight in BYTES_PER_WEIGHT.items():
        quantized = {
            part: int(size * bytes_per_weight / _BF16_BYTES) if ".layers." in part else size
            for part, size in part_sizes.items()
        }
        if plan_device_map(quantized, free_bytes, reserve_gib).on_gpu:  # only a GPU computes in fewer bits
            yield f'load it in {bits[0]} bits (`quantize="{bits}"` in Python; scores differ a little)'
            break
    for title, size in _SMALLER_MODELS.items():
        if size + WORKSPACE_BYTES <= free_bytes["cpu"] and size < sum(part_sizes.values()):
            yield f"take {title}, which needs {format_bytes(size + WORKSPACE_BYTES)}"
            break
