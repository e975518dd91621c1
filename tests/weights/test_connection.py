"""Proxies and certificates of the environment: they work, or one sentence says which setting to correct."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub.utils import close_session

from lychee_rerank.errors import DownloadError
from lychee_rerank.weights.cache import Hub
from lychee_rerank.weights.connection import check_connection_settings
from lychee_rerank.weights.download import download
from support.fake_hub import FakeHub

either_hub = pytest.mark.parametrize("hub", ["huggingface", "modelscope"])


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    close_session()  # its client keeps the proxies of the moment when it was made
    yield
    close_session()


@pytest.mark.parametrize(
    ("name", "proxy", "shown"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080/", "socks://127.0.0.1:1080/"),
        ("all_proxy", "socks4://127.0.0.1:1080", "socks4://127.0.0.1:1080"),
        ("HTTPS_PROXY", "http://[::1", "http://[::1"),
        ("https_proxy", "ftp://me:secret@host", "host"),
    ],
)
def test_a_proxy_of_a_kind_that_is_not_known_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, shown: str
) -> None:
    monkeypatch.setenv(name, proxy)
    with pytest.raises(DownloadError) as refused:
        check_connection_settings()
    assert str(refused.value) == (
        f'The proxy in {name.upper()}, "{shown}", cannot be used: it should look like http://127.0.0.1:7890 or '
        f"socks5://127.0.0.1:1080; correct it or unset {name.upper()}."
    )


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "socks5h://me:it@host", "http://127.0.0.1:1", "host:1"])
def test_a_proxy_that_can_be_used_is_no_problem(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "localhost,::1,192.168.0.0/16,.local")
    check_connection_settings()


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file or directory"), ("", "no certificate")])
def test_certificates_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(DownloadError, match=f'The certificates in SSL_CERT_FILE, "{file}", .*{reason}'):
        check_connection_settings()


@either_hub
@pytest.mark.usefixtures("caches")
def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(DownloadError, match="cannot be reached .*check the connection and the proxy in ALL_PROXY"):
        download(hub=hub)


@either_hub
def test_what_is_no_socks_proxy_is_named(tmp_path: Path, hub: Hub) -> None:
    """In a process of its own, because httpcore2 leaves its socket open."""
    program = f"from lychee_rerank.weights.download import download; download(hub={hub!r})"
    with listen(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        settings = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "ALL_PROXY": f"socks5://127.0.0.1:{port}"}
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    last_line = result.stderr.splitlines()[-1]
    assert "DownloadError" in last_line and "check the connection and the proxy in ALL_PROXY" in last_line


@either_hub
def test_a_download_goes_through_a_socks_proxy(monkeypatch: pytest.MonkeyPatch, fake_hub: FakeHub, hub: Hub) -> None:
    hub_port = int(fake_hub.address.rpartition(":")[2])
    with listen(lambda connection: serve_socks(connection, hub_port)) as port:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{port}")
        assert download(hub=hub, endpoint="http://hub.invalid").source == hub


@contextmanager
def listen(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on this machine that gives each connection to `serve` in a thread of its own; its port."""

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection:
            connection.recv(1024)
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def serve_socks(connection: socket.socket, port: int) -> None:
    """SOCKS 5 as in RFC 1928 without a password, every address being `port` on this machine."""
    connection.sendall(b"\x05\x00")
    connection.recv(1024)
    connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
    with socket.create_connection(("127.0.0.1", port)) as upstream:
        Thread(target=pump, args=(upstream, connection), daemon=True).start()
        pump(connection, upstream)


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
