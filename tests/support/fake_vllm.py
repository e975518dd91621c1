"""A server on 127.0.0.1 that answers as a vLLM does, and misbehaves when a test says so.

An image's probability of "yes" is how red it is, so the order is known.
"""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image, ImageStat

from support.images import encode

YES_ID, NO_ID = 9693, 2152


@dataclass(frozen=True)
class FakeResponse:
    """Status, body and headers; a status of 0 breaks the connection."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeVllm:
    """`intercept` gets every chat request; it may return a response to give instead, or block to stall.

    responses: given instead of the usual one, by path. supports_logprob_token_ids: False for a vLLM before mid-2026.
    chats, max_in_flight: the chat requests so far, and how many were answered at the same time at most.
    """

    intercept: Callable[[dict[str, Any]], FakeResponse | None] = lambda body: None  # noqa: E731
    supports_logprob_token_ids: bool = True
    api_key: str = ""
    responses: dict[str, FakeResponse] = field(default_factory=dict)
    chats: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, path: str, body: dict[str, Any], authorization: str) -> FakeResponse:
        if path in self.responses:
            return self.responses[path]
        if self.api_key and authorization != f"Bearer {self.api_key}":
            return FakeResponse(401, {"error": "Unauthorized"})
        if path == "/v1/models":
            return FakeResponse(200, {"object": "list", "data": [{"id": "red", "root": "/models/red"}]})
        if path == "/tokenize":
            return FakeResponse(200, {"count": 1, "tokens": [YES_ID if body["prompt"] == "yes" else NO_ID]})
        if path == "/detokenize":
            return FakeResponse(200, {"prompt": bytes(body["tokens"]).decode()})
        if path == "/v1/chat/completions":
            return self._chat(body)
        return FakeResponse(200 if path == "/health" else 404, {})

    def _chat(self, body: dict[str, Any]) -> FakeResponse:
        with self.lock:
            self.chats.append(body)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            redness = _redness(body["messages"])
            return self.intercept(body) or FakeResponse(200, {"choices": [self._choice(body, redness)]})
        finally:
            with self.lock:
                self.in_flight -= 1

    def _choice(self, body: dict[str, Any], redness: float) -> dict[str, Any]:
        if body["max_tokens"] > 1:
            return _text_choice(body, f"Score: {10 * redness:.1f}. Reason: it is red.")
        logprobs = {YES_ID: math.log(redness), NO_ID: math.log(1 - redness)}
        reported = body.get("logprob_token_ids", []) if self.supports_logprob_token_ids else []
        chosen = body.get("allowed_token_ids", [max(logprobs, key=lambda token_id: logprobs[token_id])])[0]
        alternatives = [{"token": f"token_id:{token_id}", "logprob": logprobs[token_id]} for token_id in reported]
        token = {"token": f"token_id:{chosen}", "logprob": logprobs[chosen], "top_logprobs": alternatives}
        return {"message": {"content": "yes"}, "logprobs": {"content": [token]}, "finish_reason": "length"}


def _text_choice(body: dict[str, Any], answer: str) -> dict[str, Any]:
    """The next `max_tokens` tokens of `answer`, one a character."""
    last = body["messages"][-1]
    partial = last["content"] if last["role"] == "assistant" else ""
    text = answer.removeprefix(partial)[: body["max_tokens"]]
    return {
        "message": {"content": text},
        "token_ids": list(text.encode()),
        "logprobs": {"content": [{"token": character} for character in text]},
        "finish_reason": "stop" if answer.endswith(text) else "length",
    }


def _redness(messages: list[dict[str, Any]]) -> float:
    (image,) = sent_images(messages)
    red, green, _ = ImageStat.Stat(image).mean
    return min(max((red - green) / 255, 0.001), 0.999)


def red_image(amount: int) -> bytes:
    """An encoded image of this red, 0 to 255: its score is amount / 25.5."""
    return encode(Image.new("RGB", (64, 48), (amount, 0, 0)))


def sent_images(messages: list[dict[str, Any]]) -> list[Image.Image]:
    """The images in a chat request."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) for url in urls]


@contextmanager
def serve(respond: Callable[[str, dict[str, Any], str], FakeResponse]) -> Iterator[str]:
    """The address of a server that calls `respond(path, body, authorization)` for each request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:  # noqa: N802
            self._respond({})

        def do_POST(self) -> None:  # noqa: N802
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, body: dict[str, Any]) -> None:
            response = respond(self.path, body, self.headers.get("Authorization", ""))
            if response.status == 0:
                self.close_connection = True
                return
            content = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
            self.send_response(response.status)
            for name, value in {**response.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Prints nothing when a client has gone away."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
