"""A connection against a server on this machine that is overloaded, stalls, dies, comes back or is something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lychee_rerank.errors import InputError, ServerError
from lychee_rerank.vllm import http as connection
from lychee_rerank.vllm.http import RetryingClient
from support.fake_vllm import Answer, served


class Scripted:
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []
        self.stalling: threading.Event | None = None

    def __call__(self, path: str, body: dict[str, Any], key: str) -> Answer:
        self.paths.append(path)
        if self.stalling:
            self.stalling.wait(30)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


Serve = Callable[..., tuple[Scripted, RetryingClient]]
FINE = Answer(200, {"fine": True})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSE", 0.0)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(*answers: Answer, **options: Any) -> tuple[Scripted, RetryingClient]:
            scripted = Scripted(*answers)
            return scripted, RetryingClient(stack.enter_context(served(scripted)), **options)

        yield start


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "foo", "ftp://a", "http://", "http://a b", "http://a:x", "http://a/?q=1"]
)
def test_what_is_no_address_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match=r"is no address of a server; it should look like http"):
        RetryingClient(url)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_an_address_may_end_in_v1(ending: str) -> None:
    assert RetryingClient("http://host:8000/gate" + ending).url == "http://host:8000/gate"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_server_is_asked_again(serve: Serve, status: int) -> None:
    scripted, asked = serve(Answer(status, {}, {"Retry-After": "0"}), Answer(status), FINE)
    assert asked.get("/x") == {"fine": True}
    assert len(scripted.paths) == 3


def test_a_connection_that_breaks_is_made_again(serve: Serve) -> None:
    scripted, asked = serve(Answer(0), FINE)
    assert asked.post("/x", {}) == {"fine": True}
    assert len(scripted.paths) == 2


def test_an_error_that_stays_tells_the_servers_own_words(serve: Serve) -> None:
    scripted, asked = serve(Answer(500, {"error": {"message": "CUDA error: out of luck."}}))
    with pytest.raises(ServerError, match=r"answered with status 500 \(CUDA error: out of luck\)\.$"):
        asked.get("/x")
    assert len(scripted.paths) == 5


def test_a_refused_request_is_not_repeated(serve: Serve) -> None:
    scripted, asked = serve(Answer(400, {"error": {"message": "too long"}}))
    with pytest.raises(ServerError, match=r"status 400 \(too long\)"):
        asked.get("/x")
    assert len(scripted.paths) == 1


def test_a_stalling_server_is_asked_once_and_then_counts_as_gone(serve: Serve) -> None:
    scripted, asked = serve(FINE, timeout=0.2)
    scripted.stalling = threading.Event()
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 seconds\.$"):
        asked.get("/x")
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 seconds; it is not asked again for now"):
        asked.get("/x")
    assert len(scripted.paths) == 1
    scripted.stalling.set()


def test_a_server_that_came_back_is_asked_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_REST", 0.0)
    scripted, asked = serve(*[Answer(0)] * 5, FINE)
    with pytest.raises(ServerError, match="broke the connection"):
        asked.get("/x")
    assert asked.get("/x") == {"fine": True}
    assert scripted.paths[-2:] == ["/health", "/x"]


def test_while_it_stays_away_only_its_health_is_looked_at(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_REST", 0.0)
    scripted, asked = serve(Answer(0))
    for _ in range(3):
        with pytest.raises(ServerError):
            asked.get("/x")
    assert scripted.paths[5:] == ["/health", "/health"]


def test_one_failing_request_among_answered_ones_does_not_count_as_gone(serve: Serve) -> None:
    scripted, asked = serve(*[Answer(500)] * 5, FINE)
    with pytest.raises(ServerError):
        asked.get("/x")
    asked.check()
    assert asked.get("/x") == {"fine": True}
    assert len(scripted.paths) == 6


def test_a_server_that_only_gives_errors_is_gone_after_a_few_requests(serve: Serve) -> None:
    scripted, asked = serve(Answer(500))
    for _ in range(100):
        with pytest.raises(ServerError):
            asked.get("/x")
    assert len(scripted.paths) == 8 * 5


def test_nobody_at_the_address_is_told_plainly() -> None:
    with served(Scripted(FINE)) as url:
        pass
    with pytest.raises(ServerError, match=rf"The server at {url} cannot be reached\."):
        RetryingClient(url).get("/x")


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    elsewhere, there = serve(FINE)
    scripted, asked = serve(Answer(307, {}, {"Location": f"{there.url}/x"}))
    with pytest.raises(ServerError, match="status 307"):
        asked.post("/x", {})
    assert (len(scripted.paths), elsewhere.paths) == (1, [])


def test_a_proxy_of_the_environment_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, through = serve(Answer(500))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, through.url)
    _, asked = serve(FINE)
    assert asked.get("/x") == {"fine": True}
    assert proxy.paths == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1, 2]", b"\xff\xfe"])
def test_what_is_no_vllm_server_is_named(serve: Serve, body: bytes) -> None:
    _, asked = serve(Answer(200, body))
    with pytest.raises(ServerError, match=r"^The server at .* does not answer [^.]*\.$"):
        asked.get("/x")


def test_a_missing_page_is_named(serve: Serve) -> None:
    _, asked = serve(Answer(404, b"<h1>Not found</h1>"))
    with pytest.raises(ServerError, match="has no /tokenize"):
        asked.post("/tokenize", {})


def test_a_wanted_key_is_asked_for_and_sent() -> None:
    def locked(path: str, body: dict[str, Any], key: str) -> Answer:
        return FINE if key == "Bearer sesame" else Answer(401, {"error": "Unauthorized"})

    with served(locked) as url:
        assert RetryingClient(url, key="sesame").get("/x") == {"fine": True}
        with pytest.raises(ServerError, match="set LYCHEE_API_KEY"):
            RetryingClient(url).get("/x")
