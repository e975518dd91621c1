"""A server on 127.0.0.1 that answers as a vLLM does, and misbehaves when a test says so.

A picture's chance of "yes" is how red it is, so order is known. `FakeVllm.before` is called with every chat request and
may return an `Answer` to give instead, or block to stall.
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

YES, NO = 9693, 2152


@dataclass(frozen=True)
class Answer:
    """Status, body and headers; a status of 0 breaks the connection."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeVllm:
    """What it serves and what it saw. `knows_token_choice` is False for a vLLM from before logprob_token_ids."""

    before: Callable[[dict[str, Any]], Answer | None] = lambda body: None  # noqa: E731
    knows_token_choice: bool = True
    key: str = ""
    pages: dict[str, Answer] = field(default_factory=dict)  # given instead of the usual answer at a path
    chats: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    def answer(self, path: str, body: dict[str, Any], key: str) -> Answer:
        self.paths.append(path)
        if path in self.pages:
            return self.pages[path]
        if self.key and key != f"Bearer {self.key}":
            return Answer(401, {"error": "Unauthorized"})
        if path == "/v1/models":
            return Answer(200, {"object": "list", "data": [{"id": "red", "root": "/models/red"}]})
        if path == "/tokenize":
            return Answer(200, {"count": 1, "tokens": [YES if body["prompt"] == "yes" else NO]})
        if path == "/detokenize":
            return Answer(200, {"prompt": bytes(body["tokens"]).decode()})
        if path == "/v1/chat/completions":
            return self._chat(body)
        return Answer(200 if path == "/health" else 404, {})

    def _chat(self, body: dict[str, Any]) -> Answer:
        with _counting:
            self.chats.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            redness = _redness(body["messages"])
            return self.before(body) or Answer(200, {"choices": [self._choice(body, redness)]})
        finally:
            with _counting:
                self.at_once -= 1

    def _choice(self, body: dict[str, Any], redness: float) -> dict[str, Any]:
        if body["max_tokens"] > 1:
            return _written(body, f"Score: {10 * redness:.1f}. Reason: it is red.")
        pair = {YES: math.log(redness), NO: math.log(1 - redness)}
        asked = body.get("logprob_token_ids", []) if self.knows_token_choice else []
        first = body.get("allowed_token_ids", [max(pair, key=lambda token: pair[token])])[0]
        named = [{"token": f"token_id:{token}", "logprob": pair[token]} for token in asked]
        told = {"token": f"token_id:{first}", "logprob": pair[first], "top_logprobs": named}
        return {"message": {"content": "yes"}, "logprobs": {"content": [told]}, "finish_reason": "length"}


_counting = threading.Lock()


def _written(body: dict[str, Any], whole: str) -> dict[str, Any]:
    """One token a character."""
    last = body["messages"][-1]
    begun = last["content"] if last["role"] == "assistant" else ""
    text = whole.removeprefix(begun)[: body["max_tokens"]]
    return {
        "message": {"content": text},
        "token_ids": list(text.encode()),
        "logprobs": {"content": [{"token": character} for character in text]},
        "finish_reason": "stop" if whole.endswith(text) else "length",
    }


def _redness(messages: list[dict[str, Any]]) -> float:
    (picture,) = sent_pictures(messages)
    red, green, _ = ImageStat.Stat(picture).mean
    return min(max((red - green) / 255, 0.001), 0.999)


def sent_pictures(messages: list[dict[str, Any]]) -> list[Image.Image]:
    """The pictures inside a chat request."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) for url in urls]


@contextmanager
def served(answer: Callable[[str, dict[str, Any], str], Answer]) -> Iterator[str]:
    """The address of a server that answers (path, body, authorization) by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:  # noqa: N802
            self._answer({})

        def do_POST(self) -> None:  # noqa: N802
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            given = answer(self.path, body, self.headers.get("Authorization", ""))
            if given.status == 0:
                self.close_connection = True
                return
            content = given.body if isinstance(given.body, bytes) else json.dumps(given.body).encode()
            self.send_response(given.status)
            for name, value in {**given.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
