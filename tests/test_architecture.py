"""The floors of the house are kept: who may import what, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lychee_rerank

PACKAGE = Path(__file__).parents[1] / "lychee_rerank"
# A place imports only places on lower floors. docs/architecture.md draws them.
FLOORS = {
    "errors": 1,
    "devices": 1,
    "images": 2,
    "text": 2,
    "weights": 2,
    "results": 3,
    "model": 3,
    "reranker": 4,
    "doctor": 4,
    "__init__": 5,
    "rankings": 5,
    "vllm": 5,
    "benchmark": 5,
    "ui": 6,
    "cli": 6,
}
HEAVY = {"torch", "transformers", "accelerate", "torchvision"}
MAY_IMPORT_TORCH = {"model", "devices", "benchmark", "doctor"}
PURE = ("images", "text", "results.py", "rankings/export.py", "errors.py")


def imports(file: Path) -> Iterator[str]:
    """Every module that a source file imports anywhere, under TYPE_CHECKING and inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{file} imports by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(place: str) -> list[Path]:
    found = PACKAGE / place
    return sorted(found.rglob("*.py")) if found.is_dir() else [found.with_suffix(".py")]


def module(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


def libraries(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(file)}


def test_every_place_has_a_floor() -> None:
    places = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in PACKAGE.rglob("*.py")}
    assert places == set(FLOORS)


@pytest.mark.parametrize("place", FLOORS)
def test_a_place_imports_only_lower_floors(place: str) -> None:
    for file in files(place):
        for name in imports(file):
            root, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if root == "lychee_rerank" and other in FLOORS and other != place:
                assert FLOORS[other] < FLOORS[place], f"{file.relative_to(PACKAGE)} imports {name}"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    modules = {module(file): file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"}
    for name, file in modules.items():
        imported = {other for full in imports(file) for other in (full, full.rpartition(".")[0]) if other in modules}
        graph[name] = imported - {name}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_only_the_places_of_the_model_import_torch() -> None:
    importing = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py") if libraries(file) & HEAVY}
    assert importing <= MAY_IMPORT_TORCH


def test_only_the_page_and_its_command_import_streamlit() -> None:
    importing = {file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py") if "streamlit" in libraries(file)}
    assert {path for path in importing if path.parts[0] != "ui"} == {Path("cli", "app.py")}


@pytest.mark.parametrize("place", PURE)
def test_pure_places_import_neither_torch_nor_streamlit(place: str) -> None:
    for file in files(place.removesuffix(".py")):
        assert not libraries(file) & (HEAVY | {"streamlit"}), file


def test_importing_the_package_imports_neither_torch_nor_streamlit() -> None:
    code = "import sys, lychee_rerank; sys.exit(bool({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_public_names_are_these() -> None:
    assert sorted(lychee_rerank.__all__) == [
        "Checkpoint",
        "ConditionScore",
        "ImageScore",
        "LoadedImage",
        "LycheeError",
        "ParsedScore",
        "PictureProblem",
        "Query",
        "Reranker",
        "find_checkpoint",
        "load_image",
        "normalize_query",
        "parse_score",
    ]
    assert all(hasattr(lychee_rerank, name) for name in lychee_rerank.__all__)


def test_the_root_holds_four_files() -> None:
    assert {file.stem for file in PACKAGE.glob("*.py")} == {"__init__", "errors", "results", "reranker"}


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {
        file.relative_to(PACKAGE).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in PACKAGE.rglob("*.py")
    }
    assert not {name for name, length in lengths.items() if length > 300}
