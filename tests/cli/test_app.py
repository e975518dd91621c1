"""`lychee-rerank app`: the page opens from any folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from lychee_rerank.cli.app import page_script
from lychee_rerank.errors import InputError


@pytest.mark.slow
def test_the_page_opens_from_any_folder_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from lychee_rerank.cli import app; app()"
    command = [sys.executable, "-c", program, "app", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert answers(port, process)
        connections = psutil.Process(process.pid).net_connections()
        assert {entry.laddr.ip for entry in connections if entry.status == "LISTEN"} == {"127.0.0.1"}
    finally:
        process.terminate()
        process.wait()


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            time.sleep(0.1)
    return False


def test_an_installation_without_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_script().name == "app.py"
    monkeypatch.setattr("lychee_rerank.__file__", str(tmp_path / "lychee_rerank" / "__init__.py"))
    with pytest.raises(InputError, match="The page is missing from this installation"):
        page_script()
