"""Every device that torch can use here, with its memory and speed."""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass

from lychee_rerank.devices.device_map import DeviceId
from lychee_rerank.devices.memory import CacheReleaser, device_name, free_memory, memory_usage
from lychee_rerank.devices.speed import DeviceSpeed, measure_speed


@dataclass(frozen=True)
class Device:
    """A GPU or the CPU; memory in bytes. name: as `device_name`. title: the hardware, or how many CPU threads."""

    name: str
    title: str
    free: int
    total: int
    speed: DeviceSpeed | None = None


def list_devices(*, measure: bool) -> tuple[dict[DeviceId, Device], list[str]]:
    """The devices that work, GPUs first; and what drivers complain of, one sentence each. measure: with their speed."""
    free, total, issues = _read_memory()
    devices = {}
    for device, free_bytes in free.items():
        name, speed = device_name(device), None
        try:
            speed = measure_speed(device) if measure else None
        except RuntimeError as error:  # also out of memory
            issues.append(f"{name} could not be measured: {first_line(error)}")
        devices[device] = Device(name, _title(device), free_bytes, total[name], speed)
    if measure and len(devices) > 1:
        CacheReleaser().release()
    return devices, issues


def _read_memory() -> tuple[dict[DeviceId, int], dict[str, int], list[str]]:
    """Free bytes by device, total bytes by the device's name, and what drivers complain of."""
    import psutil

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            free, total = free_memory(), {usage.device: usage.total for usage in memory_usage()}
        except RuntimeError as error:  # a GPU that does not respond
            memory = psutil.virtual_memory()
            return {"cpu": memory.available}, {"CPU": memory.total}, [f"the GPU cannot be used: {first_line(error)}"]
    return free, total, list(dict.fromkeys(first_line(warning.message) for warning in caught))


def _title(device: DeviceId) -> str:
    import torch

    if isinstance(device, int):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}" if device == "cpu" else platform.machine()


def first_line(message: object) -> str:
    """Of an error or a warning; CUDA's go on with advice for developers."""
    return str(message).strip().partition("\n")[0]
