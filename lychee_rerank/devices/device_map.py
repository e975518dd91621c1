"""Which part of a model goes to which device, planned from free memory before anything is loaded. Pure arithmetic.

A part is a module that stays on one device: a block (decoder layer), the vision tower, the embeddings, lm_head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lychee_rerank.devices.memory import GIB, DeviceId, device_name, format_bytes

# What scoring one image takes beside the weights: activations, KV cache, the libraries' workspaces.
WORKSPACE_BYTES = GIB // 2
_OFFLOAD_DEVICES = frozenset({"cpu", "disk"})


@dataclass(frozen=True)
class DeviceMapPlan:
    """Where the parts of a model are or will be: a `device_map` for transformers, and its `summary` for people.

    dtype: the type of the weights; "" where it is not known. threads: how many compute it; None on a GPU.
    """

    device_map: Mapping[str, DeviceId]
    summary: str
    dtype: str = ""
    threads: int | None = None

    @property
    def device_names(self) -> dict[str, str]:
        """The device of each part as people call it."""
        return {part: device_name(device) for part, device in self.device_map.items()}

    @property
    def on_gpu(self) -> bool:
        """Whether all of the model is on GPUs."""
        return not _OFFLOAD_DEVICES & set(self.device_map.values())

    @property
    def on_cpu(self) -> bool:
        """Whether all of the model is in CPU memory, so that nothing can go to the disk instead."""
        return set(self.device_map.values()) == {"cpu"}


def plan_device_map(
    part_sizes: Mapping[str, int],
    free_bytes: Mapping[DeviceId, int],
    reserve_gib: float,
    *,
    offloaded_sizes: Mapping[str, int] | None = None,
) -> DeviceMapPlan:
    """Assign the parts of a model to devices.

    part_sizes: bytes of each part, in the model's order; blocks have ".layers." in their name.
    free_bytes: of each GPU (by number), of "mps" if there is one, and of "cpu"; `reserve_gib` stays free on every GPU.
    offloaded_sizes: bytes of each part that is not on a GPU, if they differ: only on a GPU are blocks in 8 or 4 bits.

    The first GPU with room for the whole model takes it. Otherwise all parts but the blocks go to the first GPU that
    can hold them together (the primary GPU), and the blocks fill it, the other GPUs in order, CPU memory, the disk.
    Without a primary GPU nothing goes to a GPU.
    """
    offloaded_sizes = offloaded_sizes or part_sizes
    if "mps" in free_bytes:
        fits = sum(part_sizes.values()) + WORKSPACE_BYTES <= free_bytes["mps"]
        device_map: dict[str, DeviceId] = dict.fromkeys(part_sizes, "mps" if fits else "cpu")
    else:
        device_map = _assign_to_gpus(part_sizes, offloaded_sizes, _gpu_budgets(free_bytes, reserve_gib))
        if not set(device_map.values()) <= _OFFLOAD_DEVICES:
            device_map = _spill_to_disk(device_map, offloaded_sizes, free_bytes["cpu"])
    sizes = {
        part: (offloaded_sizes if device in _OFFLOAD_DEVICES else part_sizes)[part]
        for part, device in device_map.items()
    }
    return DeviceMapPlan(device_map, summarize(device_map, sizes, reserve_gib, free_bytes))


def summarize(
    device_map: Mapping[str, DeviceId],
    sizes: Mapping[str, int],
    reserve_gib: float,
    free_bytes: Mapping[DeviceId, int] | None = None,
) -> str:
    """For people: where a model's parts are. `sizes` in bytes; `free_bytes` as they were before it was loaded."""
    free = {device_name(device): size for device, size in (free_bytes or {}).items()}
    size_on, blocks_on = Counter[str](), Counter[str]()
    for part, device in device_map.items():
        size_on[device_name(device)] += sizes.get(part, 0)
        blocks_on[device_name(device)] += _is_block(part)
    blocks = sum(blocks_on.values())
    phrases = [
        (f"{blocks_on[device]} of {blocks} blocks" if blocks else "everything")
        + f" on {device}, {format_bytes(size)}"
        + (f" of {format_bytes(free[device])} free" if device in free else "")
        for device, size in size_on.items()
    ]
    if gpus := [device for device in size_on if device.startswith("GPU")]:
        phrases.append(f"{reserve_gib:g} GiB kept free" + (" on each" if len(gpus) > 1 else ""))
        if offloaded := blocks_on["CPU"] + blocks_on["disk"]:
            phrases.append(f"{offloaded} of {blocks} layers run from outside the GPU: slower")
    return ", ".join(phrases)


def _is_block(part: str) -> bool:
    return ".layers." in part


def _gpu_budgets(free_bytes: Mapping[DeviceId, int], reserve_gib: float) -> dict[DeviceId, int]:
    """Bytes of weights that each GPU may take; a GPU that may take none is left out."""
    reserved = int(reserve_gib * GIB) + WORKSPACE_BYTES
    return {device: free - reserved for device, free in free_bytes.items() if device != "cpu" and free > reserved}


def _assign_to_gpus(
    part_sizes: Mapping[str, int], offloaded_sizes: Mapping[str, int], budgets: Mapping[DeviceId, int]
) -> dict[str, DeviceId]:
    """As much as fits on GPUs, the rest on "cpu"."""
    total = sum(part_sizes.values())
    for gpu, budget in budgets.items():
        if budget >= total:
            return dict.fromkeys(part_sizes, gpu)
    device_map = _split_over_gpus(part_sizes, budgets, streamed_bytes=0)
    if "cpu" in device_map.values():
        # A block in CPU memory is copied to the primary GPU to be computed, so it must keep space for one.
        largest_block = max((offloaded_sizes[part] for part in part_sizes if _is_block(part)), default=0)
        device_map = _split_over_gpus(part_sizes, budgets, streamed_bytes=largest_block)
    return device_map


def _split_over_gpus(
    part_sizes: Mapping[str, int], budgets: Mapping[DeviceId, int], *, streamed_bytes: int
) -> dict[str, DeviceId]:
    """All parts but the blocks on the primary GPU, which keeps `streamed_bytes` free, and the blocks in order."""
    block_sizes = {part: size for part, size in part_sizes.items() if _is_block(part)}
    primary_bytes = sum(part_sizes.values()) - sum(block_sizes.values()) + streamed_bytes
    primary_gpu = next((gpu for gpu, budget in budgets.items() if budget >= primary_bytes), None)
    if primary_gpu is None:
        return dict.fromkeys(part_sizes, "cpu")
    block_budgets = {primary_gpu: budgets[primary_gpu] - primary_bytes}
    block_budgets |= {gpu: budget for gpu, budget in budgets.items() if gpu != primary_gpu}
    block_devices = _fill_in_order(block_sizes, block_budgets)
    return {part: block_devices.get(part, primary_gpu) for part in part_sizes}


def _fill_in_order(block_sizes: Mapping[str, int], budgets: Mapping[DeviceId, int]) -> dict[str, DeviceId]:
    """Blocks in order onto GPUs in order, then "cpu"; never back to an earlier one, so that activations move between
    two devices only once.
    """
    devices, free = [*budgets, "cpu"], [*budgets.values(), sum(block_sizes.values())]
    device_map, current = {}, 0
    for block, size in block_sizes.items():
        while free[current] < size:
            current += 1
        free[current] -= size
        device_map[block] = devices[current]
    return device_map


def _spill_to_disk(device_map: Mapping[str, DeviceId], sizes: Mapping[str, int], free: int) -> dict[str, DeviceId]:
    """Parts on "cpu" that do not fit into its `free` bytes go to "disk"."""
    spilled = dict(device_map)
    for part, device in device_map.items():
        if device == "cpu":
            spilled[part] = "cpu" if sizes[part] <= free else "disk"
            free -= sizes[part]
    return spilled
