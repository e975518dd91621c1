"""Which NVIDIA GPUs the driver lists, without torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lychee_rerank.devices import nvidia
from lychee_rerank.devices.memory import MIB
from lychee_rerank.devices.nvidia import GpuInfo, list_gpus, parse_nvidia_smi


def test_each_gpu_is_listed_with_its_memory_and_driver() -> None:
    output = "NVIDIA GeForce RTX 4090, 23347, 24564, 570.86\nNVIDIA GeForce RTX 3060, 11800, 12288, 570.86\n"
    assert parse_nvidia_smi(output) == (
        GpuInfo("NVIDIA GeForce RTX 4090", 23_347 * MIB, 24_564 * MIB, "570.86"),
        GpuInfo("NVIDIA GeForce RTX 3060", 11_800 * MIB, 12_288 * MIB, "570.86"),
    )


def test_a_gpu_that_shares_the_machines_memory_reports_none_of_its_own() -> None:
    assert parse_nvidia_smi("NVIDIA GB10, [N/A], [N/A], 580.95\n") == (GpuInfo("NVIDIA GB10", None, None, "580.95"),)


def test_output_that_is_no_list_gives_no_gpu() -> None:
    assert parse_nvidia_smi("No devices were found\n") == ()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH, for a fake nvidia-smi; the driver's own folder is in it too."""
    if sys.platform == "win32":
        pytest.skip("the fake is a shell script")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(nvidia, "_DRIVER_FOLDER", tmp_path / "gpus")
    return tmp_path


def write_nvidia_smi(folder: Path, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)


def test_nvidia_smi_is_run(driver: Path) -> None:
    write_nvidia_smi(driver, 'echo "NVIDIA L4, 22000, 23034, 550.1"')
    assert list_gpus() == (GpuInfo("NVIDIA L4", 22_000 * MIB, 23_034 * MIB, "550.1"),)


def test_nvidia_smi_without_a_driver_gives_no_gpu(driver: Path) -> None:
    write_nvidia_smi(
        driver, 'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9'
    )
    assert list_gpus() == ()


def test_without_a_working_nvidia_smi_the_drivers_folder_names_the_gpu(driver: Path) -> None:
    write_nvidia_smi(driver, "exit 9")
    (driver / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (driver / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:  93\n")
    assert list_gpus() == (GpuInfo("NVIDIA GeForce RTX 4090"),)
