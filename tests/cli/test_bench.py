"""`lychee-rerank bench` asks for what its options say, and shows and writes what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lychee_rerank.benchmark.cpu_threads import ThreadsLatency
from lychee_rerank.benchmark.result import ConditionsLatency
from lychee_rerank.vllm import http
from lychee_rerank.vllm.reranker import VLLMReranker
from support.benchmark_results import RESULT
from support.fake_cli import run_command
from support.fake_vllm import FakeVllm, serve


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the benchmark, which measures nothing here."""
    arguments: dict[str, Any] = {}

    def bench(model: str, **options: Any) -> Any:
        arguments.update(options, model=model)
        return RESULT

    monkeypatch.setattr("lychee_rerank.benchmark.bench.bench", bench)
    monkeypatch.setattr(http, "_BACKOFF_S", 0.0)
    return arguments


def rows(output: str) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in output.splitlines()]


def test_implementations_are_shown_with_their_scores_first(asked: dict[str, Any]) -> None:
    lines = rows(run_command("bench").stdout)
    assert "demo, float32, 8 pictures a query, on a machine: milliseconds a picture." in lines
    assert "lychee 0 10.0 10.0 2.5" in lines
    assert "sentence-transformers 0 18.0 18.0 18.0" in lines


def test_a_peer_with_other_scores_is_shown_as_differing(asked: dict[str, Any]) -> None:
    (line,) = (line for line in rows(run_command("bench").stdout) if line.startswith("vllm"))
    assert "0.42: differs" in line


def test_peers_that_were_left_out_are_named_on_stderr(asked: dict[str, Any]) -> None:
    assert "vllm is left out of generate: it is gone" in run_command("bench").stderr


def test_threads_are_shown_with_the_ratio_to_the_best_fixed_setting(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = tuple(
        ThreadsLatency(setting, busy, first_ms * (1 + busy), 4.0)
        for busy in (False, True)
        for setting, first_ms in (("chosen", 11.0), ("1 thread", 10.0), ("all cores, sleeping", 12.0))
    )
    monkeypatch.setattr("lychee_rerank.benchmark.bench.bench", lambda *_, **__: replace(RESULT, threads=threads))
    lines = rows(run_command("bench", "--threads").stdout)
    assert "chosen beside a busy core 22.0 4.0" in lines
    assert "chosen / best fixed quiet 1.10 1.00" in lines


def test_conditions_are_shown_as_a_part_of_scoring_anew(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = (ConditionsLatency("yes_no", 250.0, 300.0, 500.0, 900.0, 0.5, 0.0),)
    monkeypatch.setattr("lychee_rerank.benchmark.bench.bench", lambda *_, **__: replace(RESULT, conditions=conditions))
    assert "yes_no 250 300 500 900 50% 0" in rows(run_command("bench", "--conditions").stdout)


def test_what_was_measured_is_written_as_json(asked: dict[str, Any], tmp_path: Path) -> None:
    run_command("bench", "--json", tmp_path / "numbers.json")
    numbers = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert [entry["implementation"] for entry in numbers["latencies"]][:3] == [
        "lychee",
        "transformers",
        "sentence-transformers",
    ]
    assert (numbers["max_score_difference"], numbers["latencies"][4]["score_difference"]) == (0.001, 0.42)


def test_peers_are_measured_only_when_asked_for(asked: dict[str, Any]) -> None:
    run_command("bench")
    assert (asked["with_cross_encoder"], asked["server"]) == (False, None)
    run_command("bench", "--peers")
    assert asked["with_cross_encoder"] is True


def test_a_server_is_connected_to_before_anything_is_measured(asked: dict[str, Any]) -> None:
    with serve(FakeVllm().respond) as url:
        run_command("bench", "--peer-server", url)
        assert isinstance(asked["server"], VLLMReranker)


def test_a_server_that_does_not_answer_is_left_out(asked: dict[str, Any]) -> None:
    result = run_command("bench", "--peer-server", "http://127.0.0.1:9")
    assert result.exit_code == 0
    assert "vllm is left out: The server at http://127.0.0.1:9 cannot be reached" in result.stderr
    assert asked["server"] is None


def test_an_address_that_is_none_is_an_error(asked: dict[str, Any]) -> None:
    assert run_command("bench", "--peer-server", "what?").exit_code == 2
    assert not asked
