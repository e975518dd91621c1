"""What is found out about a machine, and what is advised."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lychee_rerank import doctor
from lychee_rerank.advice import TORCH_FOR_THE_CARD, next_steps
from lychee_rerank.doctor import examine, measured
from lychee_rerank.estimate import PUBLISHED_PARTS
from lychee_rerank.memory import GIB
from lychee_rerank.nvidia import Card
from lychee_rerank.report import Found, Place, Planned, Processor, Report, Versions

REAL = Found("vec-ai/lychee-rerank-mm", "~/hub", 16_582_000_000, ())
CUT = replace(REAL, problems=("model-00002-of-00004.safetensors is missing", "b is missing", "c is missing"))
RTX = Card("NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB, "570.86")
GPU = Processor("GPU 0", "NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB)
CPU = Processor("CPU", "8 threads", 30 * GIB, 32 * GIB)
VERSIONS = Versions("0.1.0", "3.12.1", "Windows-11", "2.15.0+cu132", "CUDA 13.2", "5.23.0", "1.67.0", "570.86")
CPU_ONLY = replace(VERSIONS, torch="2.15.0+cpu", build="CPU only")


def places(*real: Found, named: tuple[Found, ...] = ()) -> tuple[Place, ...]:
    demo = Found("demo", "/app/demo", 16_000_000, ())
    return (
        Place("argument", "", named),
        Place("huggingface", "~/hub", real),
        Place("modelscope", "~/ms", ()),
        Place("demo", "", (demo,)),
    )


READY = Report(
    versions=VERSIONS,
    cards=(RTX,),
    processors=(GPU, CPU),
    disk="~/hub",
    disk_free=100 * GIB,
    places=places(REAL),
    in_use=REAL.name,
    plans=(Planned(REAL.name, True, "28 of 28 blocks on GPU 0", True, True, True),),
    troubles=(),
    runs=True,
)
ONLY_DEMO = replace(READY, in_use="demo", places=places())


def test_where_nothing_is_missing_the_page_is_next() -> None:
    assert next_steps(READY) == ("Everything is ready: `uv run lychee-rerank app` opens the page.",)


@pytest.mark.parametrize("system", ["Windows-11", "Linux-6.1"])
def test_a_card_whose_torch_is_for_the_cpu_is_recognised_with_the_command_that_cures_it(system: str) -> None:
    blind = replace(READY, versions=replace(CPU_ONLY, system=system), processors=(CPU,))
    (step,) = next_steps(blind)
    assert "The NVIDIA GeForce RTX 4090 is not used, because PyTorch 2.15.0+cpu is built without CUDA" in step
    assert TORCH_FOR_THE_CARD in step
    assert "--torch-backend=auto" in step
    assert "uv run --no-sync" in step


def test_without_a_card_a_torch_for_the_cpu_is_right() -> None:
    assert next_steps(replace(READY, cards=(), versions=CPU_ONLY, processors=(CPU,)))[0].startswith("Everything")


def test_a_driver_too_old_for_torch_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (step,) = next_steps(replace(READY, processors=(CPU,)))
    assert "Update NVIDIA's driver (this one is 570.86)" in step


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_card_that_is_hidden_on_purpose_is_not_called_broken(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (step,) = next_steps(replace(READY, processors=(CPU,)))
    assert "CUDA_VISIBLE_DEVICES hides it" in step


def test_where_only_the_demo_is_here_the_download_is_next() -> None:
    (step,) = next_steps(ONLY_DEMO)
    assert "`uv run lychee-rerank download` fetches vec-ai/lychee-rerank-mm, 16.6 GB (15.4 GiB)" in step


def test_a_disk_too_full_for_the_weights_is_told_before_they_are_fetched() -> None:
    (step,) = next_steps(replace(ONLY_DEMO, disk_free=9 * GIB))
    assert "9.0 GiB are free in ~/hub" in step
    assert "HF_HOME" in step


def test_damaged_weights_are_told_with_what_is_wrong_and_fetched_again() -> None:
    (step,) = next_steps(replace(READY, places=places(CUT), in_use="demo"))
    assert "model-00002-of-00004.safetensors is missing; b is missing; and 1 more" in step
    assert "`uv run lychee-rerank download`" in step


def test_weights_asked_for_that_cannot_be_used_are_told() -> None:
    wanted = Found("mine", "~/mine", 0, ("there is no folder ~/mine.",))
    (step,) = next_steps(replace(READY, places=places(REAL, named=(wanted,)), in_use=None))
    assert step == ("The weights asked for cannot be used: there is no folder ~/mine. Name others or repair these.")


def test_a_gpu_that_other_programs_fill_is_told() -> None:
    crowded = replace(READY.plans[0], on_gpu=False)
    (step,) = next_steps(replace(READY, plans=(crowded,)))
    assert step.startswith("Close other programs that use the GPU")


def test_too_little_memory_for_the_model_is_told() -> None:
    small = replace(READY.plans[0], fits=False, on_gpu=False, on_empty_gpu=False)
    (step,) = next_steps(replace(READY, plans=(small,)))
    assert step.startswith("There is too little memory for vec-ai/lychee-rerank-mm")


def test_a_torch_that_cannot_be_loaded_is_the_only_thing_that_matters() -> None:
    broken = replace(
        ONLY_DEMO, versions=replace(VERSIONS, build=None), processors=(), troubles=("torch cannot be loaded: no c10",)
    )
    steps = next_steps(broken)
    assert "torch cannot be loaded: no c10" in steps[0]
    assert "Visual C++" in steps[1]
    assert len(steps) == 2


def test_there_are_never_more_than_three_steps() -> None:
    wanted = Found("mine", "~/mine", 0, ("there is no folder ~/mine",))
    everything = replace(
        ONLY_DEMO,
        versions=CPU_ONLY,
        processors=(CPU,),
        places=places(CUT, named=(wanted,)),
        plans=(replace(READY.plans[0], fits=False, on_gpu=False, on_empty_gpu=False),),
    )
    assert len(next_steps(everything)) == 3


# The machine that the tests run on.


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine as a CPU-only one of a person called alice, with empty caches; the home directory."""
    from transformers import Qwen2_5_VLForConditionalGeneration  # noqa: F401  (its import looks at the GPU itself)

    home = tmp_path / "alice"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "USERNAME", "LOGNAME"):
        monkeypatch.setenv(name, "alice")
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(home / "ms"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(doctor, "cards", lambda: ())
    return home


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
    assert published.words.startswith("28 of 28 blocks on CPU, 15.4 GiB of ")
    assert published.least is None


def test_weights_that_are_here_are_the_only_ones_planned_for(machine: Path, published: Path) -> None:
    in_hub(machine, published)
    report = examine(measure=False)
    assert report.in_use == "vec-ai/lychee-rerank-mm"
    (planned,) = report.plans
    assert planned.words.startswith("3 of 3 blocks on CPU")
    assert planned.here


def test_damaged_weights_are_listed_with_what_is_wrong(machine: Path, published: Path) -> None:
    shard = next(in_hub(machine, published).glob("*.safetensors"))
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
    next(in_hub(machine, published).glob("*.safetensors")).unlink()
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
    assert report.plans[1].words == "28 of 28 blocks on GPU 0, 15.4 GiB of 22.8 GiB free, 1.2 GiB kept free"
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
    assert demo.least.yes_no < published.least.yes_no


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

    from lychee_rerank.checkpoints import DEMO_FOLDER
    from lychee_rerank.random_model import SIZES, _config

    config = _config(SIZES["7b"], AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True))
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    assert sum(PUBLISHED_PARTS.values()) == sum(weight.nbytes for weight in model.parameters())
    assert PUBLISHED_PARTS["model.visual"] == sum(weight.nbytes for weight in model.model.visual.parameters())
