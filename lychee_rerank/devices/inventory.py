"""Every device that torch can use here, with its memory and speed."""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass

from lychee_rerank.devices.memory import CacheReleaser, DeviceId, DeviceMemory, cpu_usage, device_name, gpu_usage
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
    usage, issues = _read_memory()
    devices: dict[DeviceId, Device] = {}
    for memory in usage:
        name, speed = device_name(memory.device), None
        try:
            speed = measure_speed(memory.device) if measure else None
        except RuntimeError as error:  # also out of memory
            issues.append(f"{name} could not be measured: {first_line(error)}")
        devices[memory.device] = Device(name, _title(memory.device), memory.free, memory.total, speed)
    if measure:
        CacheReleaser().release()
    return devices, issues


def _read_memory() -> tuple[list[DeviceMemory], list[str]]:
    """The memory of every device that responds, and what drivers complain of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            gpus = gpu_usage()
        except RuntimeError as error:  # a GPU that does not respond
            return [cpu_usage()], [f"the GPU cannot be used: {first_line(error)}"]
    return [*gpus, cpu_usage()], list(dict.fromkeys(first_line(warning.message) for warning in caught))


def _title(device: DeviceId) -> str:
    import torch

    if isinstance(device, int):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return ("1 thread" if threads == 1 else f"up to {threads} threads") if device == "cpu" else platform.machine()


def first_line(message: object) -> str:
    """Of an error or a warning; CUDA's go on with advice for developers."""
    return str(message).strip().partition("\n")[0]
