"""What `diagnose` finds out about a machine, as plain data; memory and sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.devices.inventory import Device
from lychee_rerank.devices.nvidia import GpuInfo
from lychee_rerank.doctor.estimate import Estimate
from lychee_rerank.weights.search import SearchLocation


@dataclass(frozen=True)
class ModelPlan:
    """Where a model would go. fits_empty_gpu: all of it would be on GPUs if no other program used them.
    shortage: where it does not fit, what it needs and what would fit, in one sentence.
    """

    name: str
    installed: bool
    device_map_plan: DeviceMapPlan
    fits: bool
    fits_empty_gpu: bool
    estimate: Estimate | None = None
    shortage: str = ""


@dataclass(frozen=True)
class Report:
    """gpus: as drivers list them. in_use: the checkpoint that would be loaded. issues: of torch or a driver."""

    versions: Mapping[str, str | None]
    gpus: tuple[GpuInfo, ...]
    devices: tuple[Device, ...]
    cache_folder: str
    disk_free: int
    locations: tuple[SearchLocation, ...]
    in_use: str | None
    plans: tuple[ModelPlan, ...]
    issues: tuple[str, ...]
    can_score: bool
    next_steps: tuple[str, ...] = ()
