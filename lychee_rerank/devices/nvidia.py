"""The NVIDIA cards that the driver knows of, asked without torch: whose build may be blind to them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.devices.memory import MIB

_FIELDS = "name,memory.free,memory.total,driver_version"
_DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
_SECONDS = 20  # a card that sleeps takes a few to wake


@dataclass(frozen=True)
class GpuInfo:
    """One card as its driver describes it, in bytes; None where the driver does not say."""

    title: str
    free: int | None = None
    total: int | None = None
    driver: str | None = None


def list_gpus() -> tuple[GpuInfo, ...]:
    """The cards of this machine; none where there is no NVIDIA driver."""
    program = _nvidia_smi()
    return (_asked(program) if program else ()) or _listed(_DRIVER_FOLDER)


def parse_nvidia_smi(answer: str) -> tuple[GpuInfo, ...]:
    """The cards in what `nvidia-smi` answers, one a line: name, free and total MiB, driver."""
    rows = [[field.strip() for field in line.split(",")] for line in answer.splitlines()]
    return tuple(GpuInfo(row[0], _bytes(row[1]), _bytes(row[2]), row[3]) for row in rows if len(row) == 4)


def _nvidia_smi() -> str | None:
    """Where it is when it is not on the path: in Windows before 2019, and in WSL."""
    places = (
        Path(os.environ.get("PROGRAMFILES", "")) / "NVIDIA Corporation" / "NVSMI" / "nvidia-smi.exe",
        Path("/usr/lib/wsl/lib/nvidia-smi"),
    )
    return shutil.which("nvidia-smi") or next((str(place) for place in places if place.is_file()), None)


def _asked(program: str) -> tuple[GpuInfo, ...]:
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # no driver behind it, or one that no longer answers
        return ()
    return parse_nvidia_smi(answer.stdout)


def _listed(folder: Path) -> tuple[GpuInfo, ...]:
    """What the driver for Linux lists of itself, where its tools are not installed."""
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("*/information"))]
    lines = [line.split(":", 1) for text in texts for line in text.splitlines() if line.startswith("Model:")]
    return tuple(GpuInfo(line[1].strip()) for line in lines)


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * MIB if mebibytes.isdigit() else None
