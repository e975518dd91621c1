"""recommend: each thing that can be in the way, and its cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lychee_rerank.devices.memory import GIB
from lychee_rerank.doctor.recommend import INSTALL_GPU_TORCH, recommend
from support.doctor_reports import (
    COMPLETE,
    CPU,
    CPU_VERSIONS,
    DAMAGED,
    MISSING,
    ON_CPU,
    ONLY_DEMO,
    READY,
    VERSIONS,
    locations,
)


def test_with_nothing_in_the_way_the_page_is_recommended() -> None:
    assert recommend(READY) == ("Everything is ready: `uv run lychee-rerank app` opens the page.",)


@pytest.mark.parametrize("system", ["Windows-11", "Linux-6.1"])
def test_beside_a_gpu_a_torch_for_the_cpu_is_replaced_by_one_command(system: str) -> None:
    (step,) = recommend(replace(READY, versions={**CPU_VERSIONS, "system": system}, devices=(CPU,)))
    assert "The NVIDIA GeForce RTX 4090 is not used, because PyTorch 2.15.0+cpu is built without CUDA" in step
    assert INSTALL_GPU_TORCH in step
    assert "--torch-backend=auto" in step
    assert "uv run --no-sync" in step


def test_without_a_gpu_a_torch_for_the_cpu_is_right() -> None:
    (step,) = recommend(replace(READY, gpus=(), versions=CPU_VERSIONS, devices=(CPU,)))
    assert step.startswith("Everything is ready")


def test_a_driver_too_old_for_torch_is_to_be_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (step,) = recommend(replace(READY, devices=(CPU,)))
    assert "Update NVIDIA's driver (this one is 570.86)" in step


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_gpu_that_is_hidden_on_purpose_is_not_called_broken(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (step,) = recommend(replace(READY, devices=(CPU,)))
    assert "CUDA_VISIBLE_DEVICES hides it" in step


def test_with_only_the_demo_the_download_is_recommended() -> None:
    assert recommend(ONLY_DEMO) == (
        "Only the demo model is here, which knows pictograms: `uv run lychee-rerank download` fetches "
        "vec-ai/lychee-rerank-mm, 16.6 GB (15.4 GiB). `uv run lychee-rerank app` opens the page with either.",
    )


def test_a_disk_too_full_for_the_weights_is_reported_before_the_download() -> None:
    (step,) = recommend(replace(ONLY_DEMO, disk_free=9 * GIB))
    assert "9.0 GiB are free in ~/hub" in step
    assert "HF_HOME" in step


def test_damaged_weights_are_reported_with_their_problems_and_downloaded_again() -> None:
    (step,) = recommend(replace(READY, locations=locations(DAMAGED), in_use="demo"))
    assert "model-00002-of-00004.safetensors is missing; b is missing; and 1 more" in step
    assert "`uv run lychee-rerank download`" in step


def test_damaged_weights_from_modelscope_are_downloaded_from_there() -> None:
    (step,) = recommend(replace(READY, locations=locations(modelscope=(DAMAGED,)), in_use="demo"))
    assert "`uv run lychee-rerank download --from modelscope`" in step


def test_damaged_weights_beside_complete_ones_of_the_same_name_do_not_matter() -> None:
    (step,) = recommend(replace(READY, locations=locations(COMPLETE, modelscope=(DAMAGED,))))
    assert step.startswith("Everything is ready")


def test_weights_asked_for_that_cannot_be_used_are_reported() -> None:
    (step,) = recommend(replace(READY, locations=locations(COMPLETE, argument=(MISSING,)), in_use=None))
    assert step == "The weights asked for cannot be used: there is no folder ~/mine. Name others or repair these."


def test_a_gpu_that_other_programs_fill_is_to_be_freed() -> None:
    (step,) = recommend(replace(READY, plans=(replace(READY.plans[0], device_map_plan=ON_CPU),)))
    assert step.startswith("Close other programs that use the GPU")


def test_too_little_memory_for_the_model_is_reported() -> None:
    shortage = "There is too little memory for it."
    plan = replace(READY.plans[0], device_map_plan=ON_CPU, fits=False, fits_empty_gpu=False, shortage=shortage)
    assert recommend(replace(READY, plans=(plan,))) == (shortage,)


def test_a_torch_that_cannot_be_loaded_is_the_only_thing_that_matters() -> None:
    versions = {**VERSIONS, "build": None}
    steps = recommend(replace(ONLY_DEMO, versions=versions, devices=(), issues=("torch cannot be loaded: no c10",)))
    assert "torch cannot be loaded: no c10" in steps[0]
    assert "Visual C++" in steps[1]
    assert len(steps) == 2


def test_there_are_never_more_than_three_steps() -> None:
    plan = replace(READY.plans[0], device_map_plan=ON_CPU, fits=False, fits_empty_gpu=False, shortage="Too little.")
    everything = replace(
        ONLY_DEMO,
        versions=CPU_VERSIONS,
        devices=(CPU,),
        locations=locations(DAMAGED, argument=(MISSING,)),
        plans=(plan,),
    )
    assert len(recommend(everything)) == 3
