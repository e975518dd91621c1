"""What the tests of scoring through a server share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lychee_rerank.vllm import http
from support.fake_vllm import FakeVllm, serve


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_BACKOFF_S", 0.0)


@pytest.fixture
def vllm() -> Iterator[FakeVllm]:
    fake = FakeVllm()
    with serve(fake.respond) as url:
        fake.url = url
        yield fake
