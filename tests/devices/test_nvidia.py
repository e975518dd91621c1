"""Which NVIDIA cards the driver knows of, without torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lychee_rerank.devices import nvidia
from lychee_rerank.devices.memory import MIB
from lychee_rerank.devices.nvidia import GpuInfo, list_gpus, parse_nvidia_smi


def test_the_driver_names_each_card_with_its_memory() -> None:
    answer = "NVIDIA GeForce RTX 4090, 23347, 24564, 570.86\nNVIDIA GeForce RTX 3060, 11800, 12288, 570.86\n"
    assert parse_nvidia_smi(answer) == (
        GpuInfo("NVIDIA GeForce RTX 4090", 23_347 * MIB, 24_564 * MIB, "570.86"),
        GpuInfo("NVIDIA GeForce RTX 3060", 11_800 * MIB, 12_288 * MIB, "570.86"),
    )


def test_a_card_that_shares_the_machines_memory_does_not_say_how_much_it_has() -> None:
    assert parse_nvidia_smi("NVIDIA GB10, [N/A], [N/A], 580.95\n") == (GpuInfo("NVIDIA GB10", None, None, "580.95"),)


def test_an_answer_that_is_no_list_names_no_card() -> None:
    assert parse_nvidia_smi("No devices were found\n") == ()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path for a stand-in of the driver's program, which is asked before all others."""
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(nvidia, "_DRIVER_FOLDER", tmp_path / "gpus")
    return tmp_path


def program(folder: Path, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)


def test_the_drivers_program_is_asked(driver: Path) -> None:
    program(driver, 'echo "NVIDIA L4, 22000, 23034, 550.1"')
    assert list_gpus() == (GpuInfo("NVIDIA L4", 22_000 * MIB, 23_034 * MIB, "550.1"),)


def test_a_program_without_a_driver_behind_it_names_no_card(driver: Path) -> None:
    program(driver, 'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9')
    assert list_gpus() == ()


def test_without_the_program_the_drivers_own_list_names_the_card(driver: Path) -> None:
    program(driver, "exit 9")
    (driver / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (driver / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:  93\n")
    assert list_gpus() == (GpuInfo("NVIDIA GeForce RTX 4090"),)
