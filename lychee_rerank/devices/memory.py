"""How much memory may be used, what is in use now, and when to give some back.

People read memory in GiB (1024**3 bytes) everywhere, below one in MiB: the unit of `reserve_gib`, of the drivers' own
tools and of the number on a card's box. Hubs count files in GB (10**9 bytes), so 16.6 GB there are 15.4 GiB here.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

GIB, MIB = 1024**3, 1024**2
_SECONDS_BETWEEN_RELEASES = 0.8


@dataclass(frozen=True)
class DeviceMemory:
    """One device's memory in bytes. `peak` is the most this process has used; `total` what the device has."""

    device: str
    used: int
    reserved: int
    peak: int
    free: int
    total: int


@dataclass(frozen=True)
class Placement:
    """Where the parts of a model are: `device_map` names each part's device, `words` says it to a person."""

    device_map: Mapping[str, str]
    words: str

    @property
    def on_one_device(self) -> bool:
        return len(set(self.device_map.values())) == 1


def max_memory(free: Mapping[int | str, int], reserve_gib: float) -> dict[int | str, int]:
    """For transformers' `max_memory`: bytes that may be used on each device.

    `free` holds the free bytes of each GPU (by number) and of "cpu"; the reserve is kept free on every GPU. A GPU with
    less free than the reserve is left out.
    """
    reserve = int(reserve_gib * GIB)
    gpus = {device: available - reserve for device, available in free.items() if device != "cpu"}
    return {**{device: room for device, room in gpus.items() if room > 0}, "cpu": free["cpu"]}


def describe(device_map: Mapping[str, object], sizes: Mapping[str, int], reserve_gib: float) -> Placement:
    """Say where a loaded model is. `sizes` gives the bytes of each part named in `device_map`."""
    names = {part: device_name(device) for part, device in device_map.items()}
    size_on, blocks_on = Counter[str](), Counter[str]()
    for part, device in names.items():
        size_on[device] += sizes.get(part, 0)
        blocks_on[device] += ".layers." in part
    blocks = sum(blocks_on.values())
    told = [
        (f"{blocks_on[device]} of {blocks} blocks" if blocks else "everything") + f" on {device}, {amount(size)}"
        for device, size in size_on.items()
    ]
    if gpus := [device for device in size_on if device.startswith("GPU")]:
        told.append(f"{reserve_gib:g} GiB kept free" + (" on each" if len(gpus) > 1 else ""))
        if slow := blocks_on["CPU"] + blocks_on["disk"]:
            told.append(f"{slow} of {blocks} layers run from outside the GPU: slower")
    return Placement(names, ", ".join(told))


def amount(size: int) -> str:
    """Bytes as people read them, for example "15.4 GiB" or "17 MiB"."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def device_name(device: object) -> str:
    """What people call a device that torch or accelerate names: "GPU 0", "Apple GPU", "CPU" or "disk"."""
    text = str(device).removeprefix("cuda:")
    if text.isdigit():
        return f"GPU {text}"
    known = {"cpu": "CPU", "disk": "disk", "cuda": "GPU 0", "mps": "Apple GPU"}
    return known.get(text.removesuffix(":0"), text.upper())


def free_memory() -> dict[int | str, int]:
    """Free bytes now of every GPU (by number) or of Apple's ("mps"), and of "cpu"."""
    import psutil
    import torch

    available = psutil.virtual_memory().available
    free: dict[int | str, int] = {number: torch.cuda.mem_get_info(number)[0] for number in range(_cuda_devices())}
    if torch.backends.mps.is_available():  # shares the machine's memory
        free["mps"] = min(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(), available)
    return {**free, "cpu": available}


def usage() -> list[DeviceMemory]:
    """What is in use now, GPUs first; of the CPU, this process's resident memory. Imports torch only if it is loaded
    already.
    """
    import psutil

    process, machine = psutil.Process().memory_info(), psutil.virtual_memory()
    peak = getattr(process, "peak_wset", 0) or _resident_peak()
    resident = process.rss
    cpu = DeviceMemory("CPU", resident, resident, max(peak, resident), machine.available, machine.total)
    return [*(_gpu_usage() if "torch" in sys.modules else []), cpu]


@dataclass
class Releaser:
    """Gives cached GPU memory back, between pictures and at most once per 800 ms: each time costs 1 to 5 ms."""

    _last: float = field(default=0.0)

    def between_pictures(self) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_RELEASES:
            _empty_caches()
            self._last = now

    def now(self) -> None:
        """Whatever can be given back, at once: after running out of memory."""
        import gc

        gc.collect()
        _empty_caches()


def _empty_caches() -> None:
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _gpu_usage() -> list[DeviceMemory]:
    import torch

    found = []
    if torch.backends.mps.is_available():
        used, held = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        total = torch.mps.recommended_max_memory()
        found.append(DeviceMemory("Apple GPU", used, held, held, max(0, total - held), total))  # no peak is kept there
    for number in range(_cuda_devices()):
        free, total = torch.cuda.mem_get_info(number)
        used, reserved = torch.cuda.memory_allocated(number), torch.cuda.memory_reserved(number)
        found.append(
            DeviceMemory(f"GPU {number}", used, reserved, torch.cuda.max_memory_allocated(number), free, total)
        )
    return found


def _resident_peak() -> int:
    """The process's highest resident memory where the system keeps it (Linux and macOS), else 0."""
    try:
        import resource
    except ImportError:  # Windows: psutil gives it as peak_wset
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
