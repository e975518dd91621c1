"""The commands of docs/demo.md start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = re.findall(r"python -m (tools\.demo\.\w+)(?: ([a-z]+))?", (ROOT / "docs/demo.md").read_text("utf-8"))
MODULES = sorted({module for module, _ in COMMANDS})


def test_training_evaluation_and_samples_are_documented() -> None:
    assert MODULES == ["tools.demo.evaluate", "tools.demo.samples", "tools.demo.train"]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_documented_command_starts_and_has_the_documented_subcommands(module: str) -> None:
    pytest.importorskip("resvg_py", reason="the group `demo` is not installed")
    arguments = [sys.executable, "-m", module, "--help"]
    completed = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert all(command in completed.stdout for name, command in COMMANDS if name == module)
