"""diagnose: the report on a machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lychee_rerank.devices import inventory
from lychee_rerank.devices.memory import GIB, DeviceMemory
from lychee_rerank.devices.speed import DeviceSpeed
from lychee_rerank.doctor import diagnose as diagnose_module
from lychee_rerank.doctor.diagnose import diagnose
from lychee_rerank.doctor.report import Report
from support.doctor_reports import RTX_4090
from support.hub_cache import copy_to_hub_cache

CPU_SPEED = DeviceSpeed(flops=200e9, read_rate=20e9, launch_time=1e-5)


def test_a_machine_with_only_the_demo_can_score(machine: Path) -> None:
    report = diagnose(measure=False)
    assert report.in_use == "demo"
    assert report.can_score
    assert [location.source for location in report.locations] == ["argument", "huggingface", "modelscope", "demo"]
    assert [location.folder for location in report.locations[1:3]] == [str(Path("~/hub")), str(Path("~/ms"))]


def test_the_versions_of_packages_are_reported(machine: Path) -> None:
    import torch
    import transformers

    versions = diagnose(measure=False).versions
    assert versions["torch"] == torch.__version__
    assert versions["transformers"] == transformers.__version__
    assert versions["build"]


def test_with_only_the_demo_the_published_weights_are_planned_too(machine: Path) -> None:
    demo, published = diagnose(measure=False).plans
    assert (demo.name, demo.installed) == ("demo", True)
    assert (published.name, published.installed) == ("vec-ai/lychee-rerank-mm", False)
    assert published.device_map_plan.summary.startswith("28 of 28 blocks on CPU, 15.4 GiB of ")
    assert published.estimate is None


def test_on_a_cpu_without_bf16_the_type_follows_the_memory(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = DeviceMemory("cpu", 0, 0, 24 * GIB, 24 * GIB)
    monkeypatch.setattr(inventory, "cpu_usage", lambda: cpu)
    monkeypatch.setattr("lychee_rerank.model.dtype.computes_bfloat16", lambda: False)
    monkeypatch.setattr(diagnose_module, "measure_speed", lambda *_: CPU_SPEED)
    monkeypatch.setattr(inventory, "measure_speed", lambda *_: CPU_SPEED)
    demo, published = diagnose().plans
    assert (demo.device_map_plan.dtype, published.device_map_plan.dtype) == ("float32", "bfloat16")
    assert "31 MiB" in demo.device_map_plan.summary
    assert demo.estimate


def test_installed_weights_are_the_only_ones_planned(machine: Path, published: Path) -> None:
    copy_to_hub_cache(published, machine)
    report = diagnose(measure=False)
    assert report.in_use == "vec-ai/lychee-rerank-mm"
    (plan,) = report.plans
    assert plan.device_map_plan.summary.startswith("3 of 3 blocks on CPU")
    assert plan.installed


def test_a_named_folder_that_is_missing_is_reported_and_the_rest_continues(machine: Path) -> None:
    report = diagnose(str(machine / "nowhere"), measure=False)
    assert report.in_use is None
    assert report.can_score
    assert "nowhere" in report.locations[0].checkpoints[0].problems[0]
    assert "cannot be used" in report.next_steps[0]


def test_neither_the_users_name_nor_home_is_in_the_report(machine: Path, published: Path) -> None:
    next(copy_to_hub_cache(published, machine).glob("*.safetensors")).unlink()
    text = repr(diagnose(str(machine / "alice" / "nowhere"), measure=False))
    assert "alice" not in text
    assert str(machine) not in text


def test_a_gpu_beside_a_torch_for_the_cpu_is_noticed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose_module, "list_gpus", lambda: (RTX_4090,))
    monkeypatch.setattr("torch.version.cuda", None)
    report = diagnose(measure=False)
    assert (report.versions["build"], report.versions["driver"]) == ("CPU only", "570.86")
    assert [device.name for device in report.devices] == ["CPU"]
    assert "--torch-backend=auto" in report.next_steps[0]


def diagnose_4090(free_gib: float, monkeypatch: pytest.MonkeyPatch) -> Report:
    gpu, cpu = DeviceMemory(0, 0, 0, int(free_gib * GIB), 24 * GIB), DeviceMemory("cpu", 0, 0, 60 * GIB, 64 * GIB)
    monkeypatch.setattr(diagnose_module, "list_gpus", lambda: (RTX_4090,))
    monkeypatch.setattr(inventory, "gpu_usage", lambda: [gpu])
    monkeypatch.setattr(inventory, "cpu_usage", lambda: cpu)
    monkeypatch.setattr(inventory, "_title", str)
    return diagnose(measure=False)


def test_the_plan_for_a_gpu_is_known_before_anything_is_loaded(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = diagnose_4090(22.8, monkeypatch)
    plan = report.plans[1].device_map_plan
    assert plan.summary == "28 of 28 blocks on GPU 0, 15.4 GiB of 22.8 GiB free, 1.2 GiB kept free"
    assert plan.on_gpu
    assert len(report.next_steps) == 1


def test_a_gpu_that_others_use_is_not_taken_for_a_small_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = diagnose_4090(9, monkeypatch)
    plan = report.plans[1]
    assert (plan.device_map_plan.on_gpu, plan.fits_empty_gpu, plan.fits) == (False, True, True)
    assert report.next_steps[-1].startswith("Close other programs that use the GPU")


def test_a_gpu_that_does_not_respond_is_in_the_report(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise RuntimeError("CUDA error: unknown error\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(inventory, "gpu_usage", fail)
    report = diagnose(measure=False)
    assert report.issues == ("the GPU cannot be used: CUDA error: unknown error",)
    assert [device.name for device in report.devices] == ["CPU"]


@pytest.mark.parametrize(
    ("package", "error"),
    [
        ("torch", ImportError("No module named 'torch'")),
        ("torch", OSError("[WinError 126] c10.dll")),
        ("torchvision", RuntimeError("operator torchvision::nms does not exist")),
    ],
)
def test_a_torch_that_cannot_be_imported_ends_in_a_report(
    package: str, error: Exception, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_broken(name: str) -> object:
        if name == package:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(diagnose_module, "import_module", import_broken)
    report = diagnose()
    assert not report.can_score
    assert report.issues == (f"{package} cannot be loaded: {error}",)
    assert report.plans == ()
    assert "Nothing can be scored" in report.next_steps[0]


def test_without_a_measured_device_there_is_no_estimate(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: object) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(inventory, "measure_speed", fail)
    report = diagnose()
    assert report.issues == ("CPU could not be measured: out of memory",)
    assert report.plans[0].estimate is None


def test_a_measured_machine_has_an_estimate(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "measure_speed", lambda device: CPU_SPEED)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=64 * GIB, total=64 * GIB))
    demo, published = diagnose().plans
    assert demo.estimate is not None
    assert published.estimate is not None
    assert 0 < demo.estimate.yes_no < demo.estimate.generate
    assert demo.estimate.yes_no < published.estimate.yes_no
