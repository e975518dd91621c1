"""How much memory may be used, what is in use now, and when to give some back.

People read memory in GiB (1024**3 bytes) everywhere, below one in MiB: the unit of `reserve_gib`, of the drivers' own
tools and of the number on a card's box. Hubs count files in GB (10**9 bytes), so 16.6 GB there are 15.4 GiB here.
"""

from __future__ import annotations

import sys
import time
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


def format_bytes(size: int) -> str:
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


def memory_usage() -> list[DeviceMemory]:
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
class CacheReleaser:
    """Gives cached GPU memory back, between pictures and at most once per 800 ms: each time costs 1 to 5 ms."""

    _last: float = field(default=0.0)

    def release_throttled(self) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_RELEASES:
            _empty_caches()
            self._last = now

    def release(self) -> None:
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
