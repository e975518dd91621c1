"""`lychee-rerank doctor`: what a person reads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.cli.doctor import screen
from lychee_rerank.doctor import diagnose as doctor
from lychee_rerank.doctor.estimate import Estimate
from lychee_rerank.doctor.recommend import next_steps
from lychee_rerank.doctor.report import Report
from support.doctor_reports import CPU_ONLY, CUT, ONLY_DEMO, READY, places


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def told(report: Report) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(screen(report))
    return capture.get()


def test_it_fits_on_one_screen() -> None:
    assert len(told(READY).splitlines()) < 24


def test_it_tells_versions_devices_weights_plan_and_next() -> None:
    words = told(replace(READY, next_steps=next_steps(READY)))
    assert "torch 2.15.0+cu132 (CUDA 13.2)" in words
    assert "driver 570.86" in words
    assert "GPU 0 (NVIDIA GeForce RTX 4090): 23.0 GiB of 24.0 GiB free" in words
    assert "1. --model, LYCHEE_MODEL: nothing named" in words
    assert "2. Hugging Face cache: vec-ai/lychee-rerank-mm, 15.4 GiB, complete, ~/hub" in words
    assert "3. ModelScope cache: nothing in ~/ms" in words
    assert "vec-ai/lychee-rerank-mm: 28 of 28 blocks on GPU 0" in words
    assert "Everything is ready" in words


def test_damaged_weights_are_listed_with_each_thing_that_is_wrong() -> None:
    words = told(replace(READY, places=places(CUT), in_use="demo"))
    assert "damaged" in words
    assert "c is missing" in words


def test_an_estimate_is_told_as_a_range() -> None:
    plan = replace(READY.plans[0], least=Estimate(0.0223, 4.51))
    assert "about 22 to 45 ms a picture by yes/no, 4.5 to 9 s by a written score" in told(replace(READY, plans=(plan,)))


def test_a_plan_that_memory_does_not_allow_says_so() -> None:
    assert "28 of 28 blocks on GPU 0: too little memory" in told(
        replace(READY, plans=(replace(READY.plans[0], fits=False),))
    )


def test_names_in_brackets_are_not_read_as_markup() -> None:
    assert "[bold]x[/bold]" in told(replace(READY, troubles=("[bold]x[/bold]",)))


def test_a_machine_without_the_real_weights_is_no_failure(machine: Path) -> None:
    result = run("--no-measure")
    assert result.exit_code == 0, result.output
    assert "lychee-rerank download" in result.stdout
    assert "alice" not in result.stdout


def test_json_holds_the_same_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *args, **options: ONLY_DEMO)
    result = run("--json")
    assert json.loads(result.stdout) == json.loads(json.dumps(asdict(ONLY_DEMO)))


def test_a_machine_that_cannot_score_anything_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(ONLY_DEMO, versions=replace(CPU_ONLY, build=None), processors=(), plans=(), runs=False)
    monkeypatch.setattr(doctor, "examine", lambda *args, **options: broken)
    assert run().exit_code == 1


def test_weights_that_are_named_and_missing_are_reported_with_code_0(machine: Path) -> None:
    result = run("--no-measure", "--model", str(machine / "nowhere"))
    assert result.exit_code == 0
    assert "cannot be used" in result.stdout
