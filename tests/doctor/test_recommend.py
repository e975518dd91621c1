"""What is advised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lychee_rerank.devices.memory import GIB
from lychee_rerank.doctor.recommend import TORCH_FOR_THE_CARD, next_steps
from lychee_rerank.doctor.report import Found
from support.doctor_reports import CPU, CPU_ONLY, CUT, ONLY_DEMO, READY, REAL, VERSIONS, places


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
