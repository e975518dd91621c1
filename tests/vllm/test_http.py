"""RetryingClient against a server on this machine that is overloaded, stalls, dies, comes back or is no vLLM."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lychee_rerank.errors import InputError, ServerError
from lychee_rerank.vllm import http
from lychee_rerank.vllm.http import RetryingClient
from support.fake_vllm import FakeResponse, serve


class ScriptedServer:
    """Gives its responses one after the other, the last one for ever; never while `stalled`."""

    def __init__(self, *responses: FakeResponse) -> None:
        self.responses = list(responses)
        self.paths: list[str] = []
        self.stalled: threading.Event | None = None

    def respond(self, path: str, body: dict[str, Any], authorization: str) -> FakeResponse:
        self.paths.append(path)
        if self.stalled:
            self.stalled.wait(30)
        return self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]


StartServer = Callable[..., tuple[ScriptedServer, RetryingClient]]
FINE = FakeResponse(200, {"fine": True})


@pytest.fixture
def start() -> Iterator[StartServer]:
    with ExitStack() as stack:

        def start_server(*responses: FakeResponse, **options: Any) -> tuple[ScriptedServer, RetryingClient]:
            server = ScriptedServer(*responses)
            return server, RetryingClient(stack.enter_context(serve(server.respond)), **options)

        yield start_server


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "foo", "ftp://a", "http://", "http://a b", "http://a:x", "http://a/?q=1"]
)
def test_a_url_that_is_no_address_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match=r"is no address of a server; it should look like http"):
        RetryingClient(url)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_a_url_may_end_in_v1(ending: str) -> None:
    assert RetryingClient("http://host:8000/gate" + ending).url == "http://host:8000/gate"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_request_to_an_overloaded_server_is_repeated(start: StartServer, status: int) -> None:
    server, client = start(FakeResponse(status, {}, {"Retry-After": "0"}), FakeResponse(status), FINE)
    assert client.get("/x") == {"fine": True}
    assert len(server.paths) == 3


def test_a_broken_connection_is_made_again(start: StartServer) -> None:
    server, client = start(FakeResponse(0), FINE)
    assert client.post("/x", {}) == {"fine": True}
    assert len(server.paths) == 2


def test_an_error_that_stays_is_reported_in_the_servers_own_words(start: StartServer) -> None:
    server, client = start(FakeResponse(500, {"error": {"message": "CUDA error: out of luck."}}))
    with pytest.raises(ServerError, match=r"answered with status 500 \(CUDA error: out of luck\)\.$"):
        client.get("/x")
    assert len(server.paths) == 5


def test_a_refused_request_is_not_repeated(start: StartServer) -> None:
    server, client = start(FakeResponse(400, {"error": {"message": "too long"}}))
    with pytest.raises(ServerError, match=r"status 400 \(too long\)"):
        client.get("/x")
    assert len(server.paths) == 1


def test_a_server_that_stalls_gets_one_request_and_then_counts_as_gone(start: StartServer) -> None:
    server, client = start(FINE, timeout=0.2)
    server.stalled = threading.Event()
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 seconds\.$"):
        client.get("/x")
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 seconds; it is not asked again for now"):
        client.get("/x")
    assert len(server.paths) == 1
    server.stalled.set()


def test_a_server_that_comes_back_gets_requests_again(start: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_COOLDOWN_S", 0.0)
    server, client = start(*[FakeResponse(0)] * 5, FINE)
    with pytest.raises(ServerError, match="broke the connection"):
        client.get("/x")
    assert client.get("/x") == {"fine": True}
    assert server.paths[-2:] == ["/health", "/x"]


def test_while_a_server_is_gone_only_its_health_is_checked(start: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_COOLDOWN_S", 0.0)
    server, client = start(FakeResponse(0))
    for _ in range(3):
        with pytest.raises(ServerError):
            client.get("/x")
    assert server.paths[5:] == ["/health", "/health"]


def test_a_server_that_fails_one_request_does_not_count_as_gone(start: StartServer) -> None:
    server, client = start(*[FakeResponse(500)] * 5, FINE)
    with pytest.raises(ServerError):
        client.get("/x")
    client.ensure_available()
    assert client.get("/x") == {"fine": True}
    assert len(server.paths) == 6


def test_a_server_that_fails_every_request_counts_as_gone_after_eight(start: StartServer) -> None:
    server, client = start(FakeResponse(500))
    for _ in range(100):
        with pytest.raises(ServerError):
            client.get("/x")
    assert len(server.paths) == 8 * 5


def test_an_address_where_nobody_listens_cannot_be_reached() -> None:
    with serve(ScriptedServer(FINE).respond) as url:
        pass
    with pytest.raises(ServerError, match=rf"The server at {url} cannot be reached\."):
        RetryingClient(url).get("/x")


def test_a_redirect_is_not_followed(start: StartServer) -> None:
    other_server, other_client = start(FINE)
    server, client = start(FakeResponse(307, {}, {"Location": f"{other_client.url}/x"}))
    with pytest.raises(ServerError, match="status 307"):
        client.post("/x", {})
    assert (len(server.paths), other_server.paths) == (1, [])


def test_a_proxy_of_the_environment_is_not_used(start: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, proxy_client = start(FakeResponse(500))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy_client.url)
    _, client = start(FINE)
    assert client.get("/x") == {"fine": True}
    assert proxy.paths == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1, 2]", b"\xff\xfe"])
def test_an_answer_that_is_no_json_object_is_refused(start: StartServer, body: bytes) -> None:
    _, client = start(FakeResponse(200, body))
    with pytest.raises(ServerError, match=r"^The server at .* does not answer [^.]*\.$"):
        client.get("/x")


def test_a_missing_endpoint_is_named_in_the_error(start: StartServer) -> None:
    _, client = start(FakeResponse(404, b"<h1>Not found</h1>"))
    with pytest.raises(ServerError, match="has no /tokenize"):
        client.post("/tokenize", {})


def test_the_api_key_is_sent_and_a_missing_one_is_asked_for() -> None:
    def locked(path: str, body: dict[str, Any], authorization: str) -> FakeResponse:
        return FINE if authorization == "Bearer sesame" else FakeResponse(401, {"error": "Unauthorized"})

    with serve(locked) as url:
        assert RetryingClient(url, api_key="sesame").get("/x") == {"fine": True}
        with pytest.raises(ServerError, match="set LYCHEE_API_KEY"):
            RetryingClient(url).get("/x")
