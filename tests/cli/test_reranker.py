"""Which reranker the options of a command ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lychee_rerank.cli.reranker import ensure_server_available, open_reranker, warn_about_demo
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint
from support.fake_cli import BrightnessBackend, brightness_reranker, run_command
from support.hub_cache import copy_to_hub_cache

SAMPLES = DEMO_FOLDER.parent / "samples"
DEMO = Reranker(
    BrightnessBackend(), checkpoint=Checkpoint(DEMO_FOLDER, "demo", "demo"), options=ScoringOptions("yes_no")
)


def test_a_server_is_connected_to_instead_of_loading_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("lychee_rerank.vllm.connect", lambda url, **options: calls.append((url, options)))
    open_reranker("demo", "http://host:8000", "yes_no", "whole", "Find it.", 1.2, "auto", 7)
    options = {"method": "yes_no", "fit": "whole", "instruction": "Find it.", "max_concurrency": 7}
    assert calls == [("http://host:8000", options)]


def test_a_model_is_loaded_with_the_default_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(Reranker, "from_pretrained", lambda model, **options: calls.append((model, options)))
    open_reranker("demo", None, "auto", "crop", None, 2.0, "float32", 32)
    options = {
        "method": "auto",
        "fit": "crop",
        "instruction": DEFAULT_INSTRUCTION,
        "reserve_gib": 2.0,
        "dtype": "float32",
    }
    assert calls == [("demo", options)]


def test_a_reranker_on_this_machine_needs_no_server() -> None:
    ensure_server_available(brightness_reranker(BrightnessBackend()))


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What "auto" finds is the demo."""
    monkeypatch.setenv("LYCHEE_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setattr(Reranker, "from_pretrained", lambda model, **_: DEMO)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("model", ["auto", "demo"])
def test_the_demo_that_scores_a_persons_images_says_so_once_and_how_to_get_the_real_weights(
    shop: Path, model: str
) -> None:
    result = run_command("rank", "bright", shop, SAMPLES, "--model", model, "--json", "-")
    assert result.exit_code == 0 and json.loads(result.stdout)["model"] == "demo"
    assert result.stderr.count("The built-in demo model is used: it knows simple pictograms, not photographs") == 1
    assert result.stderr.count("`uv run lychee-rerank download` fetches the real weights") == 1
    assert "demo model" not in run_command("rank", "bright", shop, "--model", model, "--quiet").stderr


@pytest.mark.usefixtures("demo")
def test_the_demo_says_nothing_about_its_own_samples(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(SAMPLES)
    assert "demo model" not in run_command("rank", "bright", SAMPLES, tmp_path / "link" / "cat.jpg").stderr


@pytest.mark.usefixtures("demo")
def test_weights_that_are_passed_over_for_the_demo_are_named_with_what_is_wrong(
    published: Path, tmp_path: Path
) -> None:
    folder = copy_to_hub_cache(published, tmp_path)
    (folder / "config.json").unlink()
    stderr = run_command("rank", "bright", SAMPLES / "cat.jpg").stderr
    assert f"The checkpoint in {folder} cannot be used: config.json is missing" in stderr
    assert "config.json" not in run_command("rank", "bright", SAMPLES / "cat.jpg", "--model", "demo").stderr


@pytest.mark.usefixtures("demo")
def test_measuring_with_the_demo_warns_too(shop: Path, tmp_path: Path) -> None:
    (shop / "judgments.csv").write_text("query,file,relevance\nbright,dusk.png,1\nbright,night.png,0\n")
    result = run_command("eval", shop, "--json", "-")
    assert result.exit_code == 0 and result.stderr.count("The built-in demo model is used") == 1


def test_other_weights_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    warn_about_demo(brightness_reranker(BrightnessBackend()), "auto", ["a.jpg"])
    assert capsys.readouterr().err == ""
