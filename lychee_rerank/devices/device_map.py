"""Which part of a model goes to which device, planned from free memory before anything is loaded. Pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lychee_rerank.devices.memory import GIB, amount, device_name, max_memory

Device = int | str  # a GPU's number, "mps", "cpu" or "disk"

# What scoring one picture takes beside the weights: activations, KV cache, the libraries' work space.
WORKING_BYTES = GIB // 2


@dataclass(frozen=True)
class Plan:
    """`device_map` in the form transformers takes, and `words` that say it to a person."""

    device_map: Mapping[str, Device]
    words: str


def plan(
    parts: Mapping[str, int],
    free: Mapping[Device, int],
    reserve_gib: float,
    *,
    outside: Mapping[str, int] | None = None,
) -> Plan:
    """Place the parts of a model.

    `parts` gives the bytes of each part in the model's order; those with ".layers." in their name are the decoder's
    blocks. `free` gives the free bytes of each GPU (by number), of "mps" if there is one, and of "cpu". `reserve_gib`
    stays free on every GPU. The first GPU that can hold the whole model takes it. Else blocks fill the GPUs in order,
    then CPU memory, then the disk, and everything else (vision tower, embeddings, lm_head) goes to the first GPU that
    can hold it, or else nothing goes to a GPU. `outside` gives
    the bytes of each part where it is not on a GPU, if they differ: only blocks on a GPU can be in 8 or 4 bits.
    """
    outside = outside or parts
    if "mps" in free:
        fits = sum(parts.values()) + WORKING_BYTES <= free["mps"]
        return _told(dict.fromkeys(parts, "mps" if fits else "cpu"), parts, outside, free, reserve_gib)
    gpus = {
        device: room - WORKING_BYTES
        for device, room in max_memory(free, reserve_gib).items()
        if device != "cpu" and room > WORKING_BYTES
    }
    placed = _on_gpus(parts, outside, gpus) or dict.fromkeys(parts, "cpu")
    if "cpu" in placed.values() and not set(placed.values()) <= {"cpu", "disk"}:
        placed = _spilled(placed, outside, free["cpu"])
    return _told(placed, parts, outside, free, reserve_gib)


def _on_gpus(parts: Mapping[str, int], outside: Mapping[str, int], gpus: Mapping[Device, int]) -> dict[str, Device]:
    """As much as fits, blocks that do not on "cpu"; empty if no GPU can hold what must stay together."""
    together = {name: size for name, size in parts.items() if ".layers." not in name}
    blocks = {name: size for name, size in parts.items() if ".layers." in name}
    largest = max((outside[name] for name in blocks), default=0)
    whole = sum(parts.values())
    if alone := [gpu for gpu, room in gpus.items() if room >= whole]:
        return dict.fromkeys(parts, alone[0])
    for streamed in (0, largest):  # a block that runs from CPU memory passes through the first GPU
        home = next((gpu for gpu, room in gpus.items() if room >= sum(together.values()) + streamed), None)
        if home is None:
            return {}
        room = {**gpus, home: gpus[home] - sum(together.values()) - streamed}
        order = [home, *(gpu for gpu in gpus if gpu != home)]
        placed = {**dict.fromkeys(together, home), **_filled(blocks, order, room)}
        if "cpu" not in placed.values():
            break
    return {name: placed[name] for name in parts}


def _filled(blocks: Mapping[str, int], order: list[Device], room: Mapping[Device, int]) -> dict[str, Device]:
    """Blocks in order onto devices in order, never back to an earlier device; the rest on "cpu"."""
    placed: dict[str, Device] = {}
    waiting, left = list(order), dict(room)
    for name, size in blocks.items():
        while waiting and left[waiting[0]] < size:
            waiting.pop(0)
        placed[name] = waiting[0] if waiting else "cpu"
        if waiting:
            left[waiting[0]] -= size
    return placed


def _spilled(placed: Mapping[str, Device], parts: Mapping[str, int], free: int) -> dict[str, Device]:
    """What is meant for CPU memory and does not fit there goes to the disk."""
    spilled, left = dict(placed), free
    for name, device in placed.items():
        if device == "cpu":
            spilled[name] = "cpu" if parts[name] <= left else "disk"
            left -= parts[name]
    return spilled


def _told(
    placed: Mapping[str, Device],
    parts: Mapping[str, int],
    outside: Mapping[str, int],
    free: Mapping[Device, int],
    reserve_gib: float,
) -> Plan:
    blocks = [name for name in parts if ".layers." in name]
    count, size = Counter(placed[name] for name in blocks), Counter[Device]()
    for name, device in placed.items():
        size[device] += (outside if device in ("cpu", "disk") else parts)[name]
    told = [
        f"{count[device]} of {len(blocks)} blocks on {device_name(device)}, {amount(size[device])}"
        + (f" of {amount(free[device])} free" if device in free else "")
        for device in size
    ]
    if gpus := [device for device in size if isinstance(device, int)]:
        told.append(f"{reserve_gib:g} GiB kept free" + (" on each" if len(gpus) > 1 else ""))
        if slow := len(blocks) - sum(count[device] for device in gpus):
            told.append(f"{slow} of {len(blocks)} layers run from outside the GPU: slower")
    return Plan(placed, ", ".join(told))
