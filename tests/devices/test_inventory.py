"""list_devices: what works is listed, what does not is reported."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from lychee_rerank.devices import inventory
from lychee_rerank.devices.inventory import list_devices


def test_a_drivers_complaint_is_reported_in_one_line_and_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complain() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver is too old\nmore words", stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", complain)
    devices, issues = list_devices(measure=False)
    assert issues == ["CUDA initialization: The NVIDIA driver is too old"]
    assert list(devices) == ["cpu"]


def test_a_gpu_that_does_not_respond_leaves_the_cpu(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: unknown error\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(inventory, "gpu_usage", fail)
    devices, issues = list_devices(measure=False)
    assert issues == ["the GPU cannot be used: CUDA error: unknown error"]
    assert [device.name for device in devices.values()] == ["CPU"]


def test_a_device_without_memory_to_measure_it_is_reported(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out_of_memory(device: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(inventory, "measure_speed", run_out_of_memory)
    devices, issues = list_devices(measure=True)
    assert issues == ["CPU could not be measured: out of memory"]
    assert devices["cpu"].speed is None
