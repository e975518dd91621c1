"""What is found out about a and what is advised."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lychee_rerank.devices.memory import GIB
from lychee_rerank.doctor import diagnose as doctor
from lychee_rerank.doctor.diagnose import examine, measured
from lychee_rerank.doctor.estimate import PUBLISHED_PARTS
from lychee_rerank.doctor.report import Report
from support.doctor_reports import RTX

# The machine that the tests run on.


def in_hub(home: Path, folder: Path) -> Path:
    """The folder as the Hugging Face cache keeps the published weights."""
    kept = home / "hub" / "models--vec-ai--lychee-rerank-mm"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    shutil.copytree(folder, kept / "snapshots" / "abc")
    return kept / "snapshots" / "abc"


def test_every_place_is_told_in_order_also_where_nothing_is(machine: Path) -> None:
    report = examine(measure=False)
    assert [place.source for place in report.places] == ["argument", "huggingface", "modelscope", "demo"]
    assert [len(place.found) for place in report.places] == [0, 0, 0, 1]
    assert [place.where for place in report.places[1:3]] == [str(Path("~/hub")), str(Path("~/ms"))]
    assert report.in_use == "demo"
    assert report.runs


def test_the_demo_and_the_published_weights_are_both_planned_for(machine: Path) -> None:
    demo, published = examine(measure=False).plans
    assert (demo.name, demo.here, published.name, published.here) == ("demo", True, "vec-ai/lychee-rerank-mm", False)
    assert published.summary.startswith("28 of 28 blocks on CPU, 15.4 GiB of ")
    assert published.least is None


def test_weights_that_are_here_are_the_only_ones_planned_for(machine: Path, published: Path) -> None:
    in_hub(published)
    report = examine(measure=False)
    assert report.in_use == "vec-ai/lychee-rerank-mm"
    (planned,) = report.plans
    assert planned.summary.startswith("3 of 3 blocks on CPU")
    assert planned.here


def test_damaged_weights_are_listed_with_what_is_wrong(machine: Path, published: Path) -> None:
    shard = next(in_hub(published).glob("*.safetensors"))
    shard.unlink()
    (found,) = examine(measure=False).places[1].found
    assert any(shard.name in problem for problem in found.problems)


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_folder_that_is_named_comes_first(
    by_environment: bool, machine: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_environment:
        monkeypatch.setenv("LYCHEE_MODEL", str(checkpoint))
    report = examine("auto" if by_environment else str(checkpoint), measure=False)
    assert report.in_use == checkpoint.name
    assert report.places[0].found[0].problems == ()


def test_a_folder_that_is_named_and_missing_is_told_and_the_rest_goes_on(machine: Path) -> None:
    report = examine(str(machine / "nowhere"), measure=False)
    assert report.in_use is None
    assert report.runs
    assert "nowhere" in report.places[0].found[0].problems[0]
    assert "cannot be used" in report.next_steps[0]


def test_the_persons_name_and_home_are_nowhere_in_it(machine: Path, published: Path) -> None:
    next(in_hub(published).glob("*.safetensors")).unlink()
    written = repr(examine(str(machine / "alice" / "nowhere"), measure=False))
    assert "alice" not in written
    assert str(machine) not in written


def test_a_card_beside_a_torch_for_the_cpu_is_seen(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "cards", lambda: (RTX,))
    monkeypatch.setattr("torch.version.cuda", None)
    report = examine(measure=False)
    assert (report.versions.build, report.versions.driver) == ("CPU only", "570.86")
    assert [processor.name for processor in report.processors] == ["CPU"]
    assert "--torch-backend=auto" in report.next_steps[0]


def on_a_4090(free: float, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(doctor, "cards", lambda: (RTX,))
    monkeypatch.setattr(doctor, "free_memory", lambda: {0: int(free * GIB), "cpu": 60 * GIB})
    monkeypatch.setattr(doctor, "_totals", lambda: {"GPU 0": 24 * GIB, "CPU": 64 * GIB})
    monkeypatch.setattr(doctor, "_title", lambda device: str(device))
    return examine(measure=False)


def test_the_plan_for_a_card_is_told_before_anything_is_loaded(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = on_a_4090(22.8, monkeypatch)
    assert report.plans[1].summary == "28 of 28 blocks on GPU 0, 15.4 GiB of 22.8 GiB free, 1.2 GiB kept free"
    assert report.plans[1].on_gpu
    assert len(report.next_steps) == 1


def test_a_card_that_is_crowded_is_told_apart_from_one_that_is_small(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = on_a_4090(9, monkeypatch)
    assert (report.plans[1].on_gpu, report.plans[1].on_empty_gpu, report.plans[1].fits) == (False, True, True)
    assert report.next_steps[-1].startswith("Close other programs that use the GPU")


def test_what_a_driver_complains_of_is_told_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complain() -> bool:
        import warnings

        warnings.warn("CUDA initialization: The NVIDIA driver is too old\nmore words", stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", complain)
    monkeypatch.setattr(doctor, "usage", lambda: [])
    monkeypatch.setattr(doctor, "_totals", lambda: {"CPU": GIB})
    assert examine(measure=False).troubles == ("CUDA initialization: The NVIDIA driver is too old",)


def test_a_gpu_that_fell_off_the_bus_leaves_the_cpu(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Mapping[Any, int]:
        raise RuntimeError("CUDA error: unknown error\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(doctor, "free_memory", fail)
    report = examine(measure=False)
    assert report.troubles == ("the GPU cannot be used: CUDA error: unknown error",)
    assert [processor.name for processor in report.processors] == ["CPU"]


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
    def broken(name: str) -> object:
        if name == package:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(doctor, "import_module", broken)
    report = examine()
    assert not report.runs
    assert report.troubles == (f"{package} cannot be loaded: {error}",)
    assert report.plans == ()
    assert "Nothing can be scored" in report.next_steps[0]


def test_a_device_without_room_to_be_measured_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(device: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(doctor, "measured", full)
    report = examine()
    assert report.troubles == ("CPU could not be measured: out of memory",)
    assert report.plans[0].least is None


def test_a_measured_machine_has_an_estimate(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEASURED_SECONDS", 0.001)
    monkeypatch.setattr("psutil.virtual_memory", lambda: _Memory())
    demo, published = examine().plans
    assert demo.least is not None
    assert published.least is not None
    assert 0 < demo.least.yes_no < demo.least.generate
    assert demo.least.yes_no < published.least.score_yes_no


class _Memory:
    available, total = 64 * GIB, 64 * GIB


def test_this_cpu_can_be_measured() -> None:
    speed = measured("cpu")
    assert speed.flops > 0
    assert speed.reading > 0
    assert speed.starting > 0
    assert speed.fetching is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_measured_and_leaves_nothing_behind() -> None:
    speed = measured(0)
    assert speed.fetching is not None
    assert speed.reading > speed.fetching > 0
    assert torch.cuda.memory_allocated(0) == 0


def test_the_published_parts_are_those_of_the_real_shapes() -> None:
    """Against the architecture itself, made without memory."""
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    from lychee_rerank.benchmark.random_weights import SIZES, _config
    from lychee_rerank.weights.locate import DEMO_FOLDER

    config = _config(SIZES["7b"], AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True))
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    assert sum(PUBLISHED_PARTS.values()) == sum(weight.nbytes for weight in model.parameters())
    assert PUBLISHED_PARTS["model.visual"] == sum(weight.nbytes for weight in model.model.visual.parameters())
