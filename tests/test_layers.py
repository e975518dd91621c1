"""The layering of the house is kept: who may import what, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lychee_rerank"
PURE = ("images", "query", "prompts", "scores", "number_words", "results", "export", "errors")
HEAVY = {"torch", "transformers", "accelerate", "torchvision"}
MODEL_ROOMS = {"model.py", "norms.py", "vision.py", "loading.py", "random_model.py"}
TORCH_ROOMS = MODEL_ROOMS | {"memory.py", "bench.py", "plain.py", "doctor.py"}


def imported(file: Path) -> set[str]:
    """The packages a source file imports anywhere, by their first name."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_know_neither_torch_nor_the_page(room: str) -> None:
    assert not imported(PACKAGE / f"{room}.py") & (HEAVY | {"streamlit"})


def test_only_the_model_and_memory_know_torch() -> None:
    knowing = {file.name for file in PACKAGE.rglob("*.py") if "torch" in imported(file)}
    assert knowing <= TORCH_ROOMS


def test_only_the_page_knows_streamlit() -> None:
    knowing = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py") if "streamlit" in imported(file)}
    assert knowing <= {"ui", "commands"}


def test_importing_the_package_imports_neither_torch_nor_streamlit() -> None:
    code = "import sys, lychee_rerank; sys.exit(bool({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
