"""What `doctor.examine` finds out about a machine, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from lychee_rerank.devices.nvidia import GpuInfo
from lychee_rerank.doctor.estimate import Estimate, Speed


@dataclass(frozen=True)
class Versions:
    """None for what is not installed; `build` is what torch was built for, "CPU only" or for example "CUDA 13.2"."""

    app: str | None
    python: str
    system: str
    torch: str | None
    build: str | None
    transformers: str | None
    streamlit: str | None
    driver: str | None


@dataclass(frozen=True)
class Processor:
    """A GPU or the CPU as torch sees it, memory in bytes; `speed` if it was measured."""

    name: str
    title: str
    free: int
    total: int
    speed: Speed | None = None


@dataclass(frozen=True)
class Found:
    """Weights: where they are, their bytes, and what is wrong with them, one sentence each."""

    name: str
    path: str
    size: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """One place where weights are looked for, and what is there. `source` is as in `Checkpoint.source`."""

    source: str
    where: str
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Planned:
    """Where a model would go, in `words`, if it is `here` or were. `fits` says whether there is memory for it at all,
    `on_gpu` whether all of it runs on GPUs, `on_empty_gpu` whether it would if no other program used them; `least` is
    the shortest time a picture can take.
    """

    name: str
    here: bool
    words: str
    fits: bool
    on_gpu: bool
    on_empty_gpu: bool
    least: Estimate | None = None


@dataclass(frozen=True)
class Report:
    """Everything that `lychee-rerank doctor` says. `troubles` are what torch or a driver complained of; `in_use` names
    the weights that would be loaded, `disk` where fetched ones are kept; `runs` is False where nothing can be scored.
    """

    versions: Versions
    cards: tuple[GpuInfo, ...]
    processors: tuple[Processor, ...]
    disk: str
    disk_free: int
    places: tuple[Place, ...]
    in_use: str | None
    plans: tuple[Planned, ...]
    troubles: tuple[str, ...]
    runs: bool
    next_steps: tuple[str, ...] = ()
