"""A page served on this machine while a test runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE_APP = ROOT / "tests" / "support" / "fake_app.py"


@contextmanager
def serve_page(script: Path, **environment: str) -> Iterator[str]:
    """Serve the page that `script` draws on a free port, with nothing kept from before; yields its URL."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        port = free_port()
        server = start_page(script, port, **{"LYCHEE_STORE": store, **environment})
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_page(script: Path, port: int, **environment: str) -> subprocess.Popen[bytes]:
    """The server's process, once it answers."""
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true", f"--server.port={port}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}")
    except BaseException:
        server.kill()
        raise
    return server


def _wait_until_healthy(url: str) -> None:
    for _ in range(150):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health"):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the page's server never became healthy")
