"""Which part of a model goes to which device, planned from free memory before anything is loaded. Pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lychee_rerank.devices.memory import GIB, device_name, format_bytes

DeviceId = int | str  # a GPU's number, "mps", "cpu" or "disk"

# What scoring one image takes beside the weights: activations, KV cache, the libraries' work space.
WORKSPACE_BYTES = GIB // 2
_OFFLOAD_DEVICES = frozenset({"cpu", "disk"})


@dataclass(frozen=True)
class DeviceMapPlan:
    """Where the parts of a model are or will be: `device_map` as transformers takes it, and a `summary` for people."""

    device_map: Mapping[str, DeviceId]
    summary: str

    @property
    def device_names(self) -> dict[str, str]:
        """The device of each part as people call it."""
        return {part: device_name(device) for part, device in self.device_map.items()}

    @property
    def on_gpu(self) -> bool:
        """Whether all of the model is on GPUs."""
        return not _OFFLOAD_DEVICES & set(self.device_map.values())


def plan_device_map(
    part_sizes: Mapping[str, int],
    free_bytes: Mapping[DeviceId, int],
    reserve_gib: float,
    *,
    offloaded_sizes: Mapping[str, int] | None = None,
) -> DeviceMapPlan:
    """Assign the parts of a model to devices.

    `part_sizes` gives the bytes of each part in the model's order; those with ".layers." in their name are the
    decoder's blocks. `free_bytes` is for each GPU (by number), for "mps" if there is one, and for "cpu"; `reserve_gib`
    stays free on every GPU. `offloaded_sizes` gives the bytes of each part where it is not on a GPU, if they differ:
    only blocks on a GPU can be in 8 or 4 bits.

    The first GPU that can hold the whole model takes it. Else everything but the blocks (vision tower, embeddings,
    lm_head) goes to the first GPU that can hold it, the blocks fill the GPUs in order, then CPU memory, then the disk.
    Where no GPU can hold what is not a block, nothing goes to a GPU.
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
    """Where the parts of a model are, for a person; `sizes` gives the bytes of each, and `free_bytes` what was free
    before it was loaded.
    """
    free = {device_name(device): size for device, size in (free_bytes or {}).items()}
    size_on, blocks_on = Counter[str](), Counter[str]()
    for part, device in device_map.items():
        size_on[device_name(device)] += sizes.get(part, 0)
        blocks_on[device_name(device)] += ".layers." in part
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


def is_block(part: str) -> bool:
    """Whether a part is one of the decoder's blocks."""
    return ".layers." in part


def _gpu_budgets(free_bytes: Mapping[DeviceId, int], reserve_gib: float) -> dict[DeviceId, int]:
    """Bytes of weights that each GPU may take; a GPU without room for any is left out."""
    kept = int(reserve_gib * GIB) + WORKSPACE_BYTES
    return {device: free - kept for device, free in free_bytes.items() if device != "cpu" and free > kept}


def _assign_to_gpus(
    part_sizes: Mapping[str, int], offloaded_sizes: Mapping[str, int], budgets: Mapping[DeviceId, int]
) -> dict[str, DeviceId]:
    """As much as fits on the GPUs; blocks that do not fit are on "cpu", and so is everything where no GPU can be the
    primary one, which holds all that is not a block.
    """
    total = sum(part_sizes.values())
    for gpu, budget in budgets.items():
        if budget >= total:
            return dict.fromkeys(part_sizes, gpu)
    device_map = _split_over_gpus(part_sizes, budgets, streamed_bytes=0)
    if "cpu" in device_map.values():
        # Blocks in CPU memory are copied to the primary GPU one at a time to be computed, so it needs room for one.
        streamed = max((offloaded_sizes[part] for part in part_sizes if is_block(part)), default=0)
        device_map = _split_over_gpus(part_sizes, budgets, streamed_bytes=streamed)
    return device_map


def _split_over_gpus(
    part_sizes: Mapping[str, int], budgets: Mapping[DeviceId, int], *, streamed_bytes: int
) -> dict[str, DeviceId]:
    """Everything but the blocks on the primary GPU, beside `streamed_bytes`, and the blocks in order from there on."""
    blocks = {part: size for part, size in part_sizes.items() if is_block(part)}
    primary_bytes = sum(part_sizes.values()) - sum(blocks.values()) + streamed_bytes
    primary = next((gpu for gpu, budget in budgets.items() if budget >= primary_bytes), None)
    if primary is None:
        return dict.fromkeys(part_sizes, "cpu")
    room = {primary: budgets[primary] - primary_bytes, **{gpu: room for gpu, room in budgets.items() if gpu != primary}}
    block_devices = _fill_in_order(blocks, room)
    return {part: block_devices.get(part, primary) for part in part_sizes}


def _fill_in_order(block_sizes: Mapping[str, int], room: Mapping[DeviceId, int]) -> dict[str, DeviceId]:
    """Blocks in order onto GPUs in order, never back to an earlier one, so that activations cross each border once;
    the rest on "cpu".
    """
    device_map: dict[str, DeviceId] = {}
    gpus = list(room.items())
    for block, size in block_sizes.items():
        while gpus and gpus[0][1] < size:
            gpus.pop(0)
        device_map[block] = gpus[0][0] if gpus else "cpu"
        if gpus:
            gpus[0] = (gpus[0][0], gpus[0][1] - size)
    return device_map


def _spill_to_disk(device_map: Mapping[str, DeviceId], sizes: Mapping[str, int], free: int) -> dict[str, DeviceId]:
    """Parts meant for CPU memory that do not fit into its `free` bytes go to the disk."""
    spilled = dict(device_map)
    for part, device in device_map.items():
        if device == "cpu":
            spilled[part] = "cpu" if sizes[part] <= free else "disk"
            free -= sizes[part]
    return spilled
