"""A hub on 127.0.0.1 that serves one small model as Hugging Face and as ModelScope do, and fails on demand."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

REPO = "vec-ai/lychee-rerank-mm"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_CHUNK = 4096


class FakeHub:
    """What is served, how it fails, and what was requested."""

    def __init__(self, folder: Path) -> None:
        self.files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        self.files |= {"README.md": b"# A model", "pytorch_model.bin": b"pickle" * 100, "onnx/model.safetensors": b"x"}
        self.sent_instead: dict[str, bytes] = {}  # contents that differ from the listing
        self.listed_sizes: dict[str, int] = {}
        self.statuses: dict[str, int] = {}  # by file name, or "listing"
        self.busy: Counter[str] = Counter()  # by file name, how many times 503 comes first
        self.error_code = ""
        self.cuts = 0  # how many large bodies end half-way
        self.has_ranges = True
        self.has_checksums = True  # in ModelScope's listing
        self.sends_length = True
        self.seconds_per_chunk = 0.0
        self.address = ""
        self.bytes_served: Counter[str] = Counter()  # by file name
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lock = Lock()

    def listed_size(self, name: str) -> int:
        return self.listed_sizes.get(name, len(self.files[name]))

    @property
    def largest(self) -> str:
        return max(self.files, key=lambda name: len(self.files[name]))

    def huggingface_listing(self) -> dict[str, Any]:
        return {"id": REPO, "sha": COMMIT, "siblings": [self._sibling(name) for name in self.files]}

    def modelscope_listing(self) -> dict[str, Any]:
        files = [
            {"Name": name, "Path": name, "Type": "blob", "Size": self.listed_size(name), "Sha256": sha256(content)}
            for name, content in self.files.items()
        ]
        if not self.has_checksums:
            for file in files:
                del file["Sha256"]
        return {"Code": 200, "Data": {"Files": [{"Name": "onnx", "Path": "onnx", "Type": "tree", "Size": 0}, *files]}}

    def _sibling(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        sibling = {"rfilename": name, "size": self.listed_size(name), "blobId": git_sha1(content)}
        if name.endswith((".safetensors", ".bin")):
            sibling["lfs"] = {"size": self.listed_size(name), "sha256": sha256(content), "pointerSize": 130}
        return sibling


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def use_empty_caches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caches of both hubs in new folders, "hf" and "ms", and downloads allowed."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(folder / "ms"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub, reachable at `hub.address`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        self.hub.requests.append((self.path, dict(self.headers)))
        if path == f"/api/models/{REPO}/revision/main":
            self._listing(self.hub.huggingface_listing())
        elif path == f"/api/v1/models/{REPO}/repo/files":
            self._listing(self.hub.modelscope_listing())
        elif path.startswith(f"/{REPO}/resolve/{COMMIT}/") and path.endswith(".safetensors"):
            self._redirect(f"/elsewhere/{path.rpartition('/')[2]}")  # as large files, which are on another machine
        elif path.startswith((f"/{REPO}/resolve/{COMMIT}/", "/elsewhere/")):
            self._file(path.rpartition("/")[2])
        elif path == f"/api/v1/models/{REPO}/repo":
            self._file(query["FilePath"][0])
        else:
            self._refuse(404, "RepoNotFound")

    def _listing(self, content: dict[str, Any]) -> None:
        if status := self.hub.statuses.get("listing"):
            return self._refuse(status, self.hub.error_code)
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, name: str) -> None:
        hub = self.hub
        if status := hub.statuses.get(name):
            return self._refuse(status, hub.error_code)
        with hub.lock:
            busy = hub.busy[name] > 0
            hub.busy[name] -= busy
        if busy:
            return self._refuse(503)
        content = hub.sent_instead.get(name, hub.files[name])
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1]) if hub.has_ranges else 0
        if start >= len(content) > 0:
            return self._refuse(416)
        self._body(name, content[start:], f"bytes {start}-{len(content) - 1}/{len(content)}")

    def _body(self, name: str, body: bytes, content_range: str) -> None:
        hub = self.hub
        self.send_response(206 if hub.has_ranges else 200)
        if hub.has_ranges and hub.sends_length:
            self.send_header("Content-Range", content_range)
        if hub.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        with hub.lock:
            cut = hub.cuts > 0 and len(body) > 2 * _CHUNK
            hub.cuts -= cut
        self.close_connection = True
        self._send(name, body[: len(body) // 2] if cut else body)

    def _send(self, name: str, body: bytes) -> None:
        try:
            for start in range(0, len(body), _CHUNK):
                self.wfile.write(body[start : start + _CHUNK])
                self.hub.bytes_served[name] += len(body[start : start + _CHUNK])
                time.sleep(self.hub.seconds_per_chunk)
        except ConnectionError:
            pass  # the client has hung up

    def log_message(self, *_: object) -> None:
        """Quiet."""
