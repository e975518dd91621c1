"""`lychee-rerank doctor`: what a person reads, and what a program does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.cli.doctor import screen, to_json
from lychee_rerank.devices.speed import DeviceSpeed
from lychee_rerank.doctor import diagnose as diagnose_module
from lychee_rerank.doctor.estimate import Estimate
from lychee_rerank.doctor.recommend import recommend
from lychee_rerank.doctor.report import Report
from support.doctor_reports import CPU_VERSIONS, DAMAGED, GPU, ONLY_DEMO, READY, locations


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def render(report: Report) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(screen(report))
    return capture.get()


def test_the_report_fits_on_one_screen() -> None:
    assert len(render(READY).splitlines()) < 24


def test_versions_devices_weights_plan_and_next_steps_are_shown() -> None:
    text = render(replace(READY, next_steps=recommend(READY)))
    assert "torch 2.15.0+cu132 (CUDA 13.2)" in text
    assert "driver 570.86" in text
    assert "GPU 0 (NVIDIA GeForce RTX 4090): 23.0 GiB of 24.0 GiB free" in text
    assert "1. --model, LYCHEE_MODEL: nothing named" in text
    assert "2. Hugging Face cache: vec-ai/lychee-rerank-mm, 15.4 GiB, complete, ~/hub" in text
    assert "3. ModelScope cache: nothing in ~/ms" in text
    assert "vec-ai/lychee-rerank-mm: 28 of 28 blocks on GPU 0" in text
    assert "Everything is ready" in text


def test_sections_without_anything_to_say_are_left_out() -> None:
    text = render(replace(READY, gpus=()))
    assert "Cards" not in text
    assert "Trouble" not in text


def test_damaged_weights_are_listed_with_each_problem() -> None:
    text = render(replace(READY, locations=locations(DAMAGED), in_use="demo"))
    assert "damaged" in text
    assert "c is missing" in text


def test_an_estimate_is_shown_as_a_range() -> None:
    plan = replace(READY.plans[0], estimate=Estimate(0.0223, 4.51))
    text = render(replace(READY, plans=(plan,)))
    assert "about 22 to 45 ms a picture by yes/no, 4.5 to 9 s by a written score" in text


def test_a_plan_that_memory_does_not_allow_says_so() -> None:
    plan = replace(READY.plans[0], fits=False)
    assert "28 of 28 blocks on GPU 0, in bfloat16: too little memory" in render(replace(READY, plans=(plan,)))


def test_text_in_brackets_is_not_read_as_markup() -> None:
    assert "[bold]x[/bold]" in render(replace(READY, issues=("[bold]x[/bold]",)))


def test_a_machine_without_the_real_weights_is_no_failure(machine: Path) -> None:
    result = run("--no-measure")
    assert result.exit_code == 0, result.output
    assert "lychee-rerank download" in result.stdout
    assert "alice" not in result.stdout


def test_json_is_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose_module, "diagnose", lambda *args, **options: ONLY_DEMO)
    result = run("--json")
    assert json.loads(result.stdout) == json.loads(json.dumps(to_json(ONLY_DEMO)))


def test_json_keeps_its_first_keys() -> None:
    plan = replace(READY.plans[0], estimate=Estimate(1, 2))
    gpu = replace(GPU, speed=DeviceSpeed(1.0, 2.0, 3.0, 4.0))
    facts = to_json(replace(READY, devices=(gpu,), plans=(plan,)))
    keys = "versions cards processors disk disk_free places in_use plans troubles runs next_steps"
    versions = "app python system torch build transformers streamlit driver"
    assert set(facts) == set(keys.split())
    assert set(facts["versions"]) == set(versions.split())
    assert set(facts["cards"][0]) == {"title", "free", "total", "driver"}
    assert set(facts["processors"][0]) == {"name", "title", "free", "total", "speed"}
    assert facts["processors"][0]["speed"] == {"flops": 1.0, "reading": 2.0, "starting": 3.0, "fetching": 4.0}
    assert set(facts["places"][1]) == {"source", "where", "found"}
    assert set(facts["places"][1]["found"][0]) == {"name", "path", "size", "problems"}
    assert facts["plans"][0] == {
        "name": "vec-ai/lychee-rerank-mm",
        "here": True,
        "words": "28 of 28 blocks on GPU 0",
        "dtype": "bfloat16",
        "fits": True,
        "on_gpu": True,
        "on_empty_gpu": True,
        "least": {"yes_no": 1, "generate": 2},
        "shortage": "",
    }


def test_a_machine_that_cannot_score_anything_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {**CPU_VERSIONS, "build": None}
    broken = replace(ONLY_DEMO, versions=versions, devices=(), plans=(), can_score=False)
    monkeypatch.setattr(diagnose_module, "diagnose", lambda *args, **options: broken)
    assert run().exit_code == 1


def test_weights_that_are_named_and_missing_are_reported_with_code_0(machine: Path) -> None:
    result = run("--no-measure", "--model", str(machine / "nowhere"))
    assert result.exit_code == 0
    assert "cannot be used" in result.stdout
