"""The NVIDIA GPUs that the driver lists. Without torch: its build may not support them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lychee_rerank.devices.memory import MIB

_DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
_TIMEOUT_S = 20  # a sleeping GPU takes a few seconds to wake


@dataclass(frozen=True)
class GpuInfo:
    """One GPU as its driver describes it, memory in bytes; None where the driver does not say."""

    title: str
    free: int | None = None
    total: int | None = None
    driver: str | None = None


def list_gpus() -> tuple[GpuInfo, ...]:
    """The GPUs of this machine; none where there is no NVIDIA driver."""
    program = _find_nvidia_smi()
    return (_query_nvidia_smi(program) if program else ()) or _read_driver_folder()


def parse_nvidia_smi(output: str) -> tuple[GpuInfo, ...]:
    """The GPUs in the CSV output of `nvidia-smi`, one a line: name, free and total MiB, driver version."""
    rows = [[field.strip() for field in line.split(",")] for line in output.splitlines()]
    return tuple(GpuInfo(row[0], _bytes(row[1]), _bytes(row[2]), row[3]) for row in rows if len(row) == 4)


def _find_nvidia_smi() -> str | None:
    """On the PATH; else where Windows had it before 2019, or where WSL has it."""
    candidates = (
        Path(os.environ.get("PROGRAMFILES", "")) / "NVIDIA Corporation" / "NVSMI" / "nvidia-smi.exe",
        Path("/usr/lib/wsl/lib/nvidia-smi"),
    )
    return shutil.which("nvidia-smi") or next((str(file) for file in candidates if file.is_file()), None)


def _query_nvidia_smi(program: str) -> tuple[GpuInfo, ...]:
    command = [program, "--query-gpu=name,memory.free,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):  # no driver, or one that no longer answers
        return ()
    return parse_nvidia_smi(process.stdout)


def _read_driver_folder() -> tuple[GpuInfo, ...]:
    """Names only, from the Linux driver itself: for machines without its tools."""
    files = sorted(_DRIVER_FOLDER.glob("*/information"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    return tuple(GpuInfo(line.partition(":")[2].strip()) for line in lines if line.startswith("Model:"))


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * MIB if mebibytes.isdigit() else None
