"""Which reranker the options of a command ask for."""

from __future__ import annotations

import pytest

from lychee_rerank.cli.reranker import ensure_server_available, open_reranker
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from support.fake_cli import BrightnessBackend, brightness_reranker


def test_a_server_is_connected_to_instead_of_loading_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("lychee_rerank.vllm.connect", lambda url, **options: calls.append((url, options)))
    open_reranker("demo", "http://host:8000", "yes_no", "whole", "Find it.", 1.2, 7)
    options = {"method": "yes_no", "fit": "whole", "instruction": "Find it.", "max_concurrency": 7}
    assert calls == [("http://host:8000", options)]


def test_a_model_is_loaded_with_the_default_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(Reranker, "from_pretrained", lambda model, **options: calls.append((model, options)))
    open_reranker("demo", None, "auto", "crop", None, 2.0, 32)
    options = {"method": "auto", "fit": "crop", "instruction": DEFAULT_INSTRUCTION, "reserve_gib": 2.0}
    assert calls == [("demo", options)]


def test_a_reranker_on_this_machine_needs_no_server() -> None:
    ensure_server_available(brightness_reranker(BrightnessBackend()))
