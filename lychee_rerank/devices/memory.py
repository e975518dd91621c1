"""Device memory: what is free, what is in use, and releasing what is cached.

People read GiB (1024**3 bytes) everywhere, MiB or KiB below: the units of `reserve_gib`, of the drivers' own tools and
of the number on a card's box. Hubs count files in GB (10**9 bytes), so 16.6 GB there are 15.4 GiB here.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass

GIB, MIB = 1024**3, 1024**2
_RELEASE_INTERVAL_S = 0.8

DeviceId = int | str  # a GPU's number, "mps", "cpu" or "disk"


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of one device: `used` by this process now, `peak` its highest use, `free` for it, `total` of the device."""

    device: DeviceId
    used: int
    peak: int
    free: int
    total: int


def format_bytes(size: int) -> str:
    """Bytes as people read them, for example "15.4 GiB", "17 MiB" or "812 KiB"."""
    if round(size / MIB) >= 1024:
        return f"{size / GIB:.1f} GiB"
    return f"{size / MIB:.0f} MiB" if round(size / 1024) >= 1024 else f"{size / 1024:.0f} KiB"


def device_name(device: object) -> str:
    """For people: "GPU 0", "Apple GPU", "CPU" or "disk", from a torch device or a name in a device map."""
    text = str(device).removeprefix("cuda:")
    if text.isdigit():
        return f"GPU {text}"
    names = {"cpu": "CPU", "disk": "disk", "cuda": "GPU 0", "mps": "Apple GPU"}
    return names.get(text.removesuffix(":0"), text.upper())


def free_memory() -> dict[DeviceId, int]:
    """Free bytes of every GPU (by number) or of Apple's ("mps"), and of "cpu"."""
    return {memory.device: memory.free for memory in (*gpu_usage(), cpu_usage())}


def memory_usage() -> list[DeviceMemory]:
    """What is in use now, GPUs first. Never imports torch itself."""
    return [*(gpu_usage() if "torch" in sys.modules else []), cpu_usage()]


def cpu_usage() -> DeviceMemory:
    """Of the CPU; in use is this process's resident memory."""
    import psutil

    process, machine = psutil.Process().memory_info(), psutil.virtual_memory()
    peak = max(process.rss, getattr(process, "peak_wset", 0) or _peak_resident())
    return DeviceMemory("cpu", process.rss, peak, machine.available, machine.total)


def gpu_usage() -> list[DeviceMemory]:
    """Of every GPU that torch can use. Raises RuntimeError where one does not respond."""
    import torch

    gpus = []
    if torch.backends.mps.is_available():  # which keeps no peak, and shares the machine's memory
        used, allocated = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        total = torch.mps.recommended_max_memory()
        free = max(0, min(total - allocated, cpu_usage().free))
        gpus.append(DeviceMemory("mps", used, allocated, free, total))
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(number)
        used, peak = torch.cuda.memory_allocated(number), torch.cuda.max_memory_allocated(number)
        gpus.append(DeviceMemory(number, used, peak, free, total))
    return gpus


@dataclass
class CacheReleaser:
    """Returns torch's cached GPU memory to the driver."""

    _last_release: float = 0.0

    def release_throttled(self) -> None:
        """Between images: at most once per 800 ms, since each release takes 1 to 5 ms."""
        now = time.monotonic()
        if now - self._last_release >= _RELEASE_INTERVAL_S:
            _empty_caches()
            self._last_release = now

    def release(self) -> None:
        """At once, after collecting garbage: before a model is loaded, or after running out of memory."""
        gc.collect()
        _empty_caches()


def _empty_caches() -> None:
    if "torch" not in sys.modules:
        return
    import torch  # waits for a thread that is just importing it

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _peak_resident() -> int:
    """This process's highest resident memory in bytes, where the system records it (Linux and macOS), else 0."""
    try:
        import resource
    except ImportError:  # Windows: psutil gives it as peak_wset
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
