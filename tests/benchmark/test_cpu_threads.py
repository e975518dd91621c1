"""The benchmark of threads on a CPU: every setting in a process of its own."""

from __future__ import annotations

import pytest

from lychee_rerank.benchmark import cpu_threads
from lychee_rerank.benchmark.cpu_threads import measure_threads


def test_every_setting_is_measured_quiet_and_beside_a_busy_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_threads, "_measure_in_process", lambda *_: (2.0, 1.0))
    measured = list(measure_threads("demo", "float32", 3))
    assert [entry.busy for entry in measured] == [False] * 4 + [True] * 4
    assert [entry.setting for entry in measured[:4]] == [entry.setting for entry in measured[4:]]
    assert measured[0].setting == cpu_threads.CHOSEN


@pytest.mark.slow
def test_a_process_measures_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    first_ms, cached_ms = cpu_threads._measure_in_process("demo", "float32", 3, "1 thread")
    assert 0 < cached_ms < first_ms
