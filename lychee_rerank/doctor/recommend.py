"""What to do next, from a report on a machine: one to three sentences, the most important first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from lychee_rerank.devices.memory import GIB, format_bytes
from lychee_rerank.doctor.report import Report
from lychee_rerank.weights.locate import DEFAULT_MODEL
from lychee_rerank.weights.model_size import DEFAULT_MODEL_DOWNLOAD_BYTES as DOWNLOAD_BYTES

# --no-config: the project's settings hold a date for uv, and not all of PyTorch's own builds have one.
INSTALL_GPU_TORCH = (
    "uv pip install --no-config --torch-backend=auto --reinstall-package torch --reinstall-package torchvision "
    "torch torchvision"
)
_DAMAGED = {  # by the source of the weights
    "argument": "The weights asked for cannot be used: {0}. Name others or repair these.",
    "demo": "The built-in demo weights are damaged: {0}. Install lychee-rerank again.",
    "huggingface": "The weights in {1} are damaged: {0}. `uv run lychee-rerank download` fetches what is missing.",
    "modelscope": "The weights in {1} are damaged: {0}. `uv run lychee-rerank download --from modelscope` fetches what "
    "is missing.",
}


def recommend(report: Report) -> tuple[str, ...]:
    """What is in the way first; if nothing is, how to start."""
    steps = _prepare(report) if report.versions["build"] else _reinstall_torch(report)
    return tuple(islice(steps, 3)) or ("Everything is ready: `uv run lychee-rerank app` opens the page.",)


def _reinstall_torch(report: Report) -> Iterator[str]:
    yield (
        f"Nothing can be scored: {'; '.join(report.issues)}. Install it again with "
        "`uv sync --reinstall-package torch --reinstall-package torchvision --reinstall-package transformers`."
    )
    if str(report.versions["system"]).startswith("Windows"):
        yield "If that does not help, install Microsoft's Visual C++ Redistributable, which PyTorch needs on Windows."


def _prepare(report: Report) -> Iterator[str]:
    if report.gpus and not any(device.name.startswith("GPU") for device in report.devices):
        yield f"The {report.gpus[0].title} is not used{_why_gpu_is_not_used(report)}"
    for location in report.locations:
        for checkpoint in location.checkpoints:
            problems = [problem.rstrip(".") for problem in checkpoint.problems[:2]]  # all would fill the screen
            if len(checkpoint.problems) > 2:
                problems.append(f"and {len(checkpoint.problems) - 2} more")
            if problems and report.in_use != checkpoint.name:
                yield _DAMAGED[location.source].format("; ".join(problems), checkpoint.path)
    if report.in_use == "demo" and not any(location.checkpoints for location in report.locations[:-1]):
        yield f"Only the demo model is here{_how_to_download(report)}"
    for plan in report.plans[-1:]:  # the real model, installed or not
        if plan.fits_empty_gpu and not plan.device_map_plan.on_gpu:
            yield f"Close other programs that use the GPU: without them all of {plan.name} would fit on it."
        elif plan.shortage:
            yield plan.shortage


def _why_gpu_is_not_used(report: Report) -> str:
    """torch is built without CUDA or for a newer driver, or the GPU is hidden from it."""
    versions, visible_gpus = report.versions, os.environ.get("CUDA_VISIBLE_DEVICES")
    if not str(versions["build"]).startswith("CUDA"):
        return (
            f", because PyTorch {versions['torch']} is built without CUDA. Install the build for it with "
            f"`{INSTALL_GPU_TORCH}`, and from then on start with `uv run --no-sync`: `uv run` alone brings the old "
            "build back."
        )
    if visible_gpus is not None and not visible_gpus.strip("-1 "):
        return ", because CUDA_VISIBLE_DEVICES hides it: unset that variable."
    return (
        f": PyTorch, built for {versions['build']}, cannot reach it. Update NVIDIA's driver (this one is "
        f"{versions['driver'] or 'unknown'}), or install the build for this driver with `{INSTALL_GPU_TORCH}` and from "
        "then on start with `uv run --no-sync`."
    )


def _how_to_download(report: Report) -> str:
    size, free = f"{DOWNLOAD_BYTES / 1e9:.1f} GB ({format_bytes(DOWNLOAD_BYTES)})", format_bytes(report.disk_free)
    download, disk = "`uv run lychee-rerank download`", report.cache_folder
    if report.disk_free < DOWNLOAD_BYTES + GIB:
        cure = f"free some, or set HF_HOME to a larger disk; then run {download}"
        return f". The real weights take {size}, and {free} are free in {disk}: {cure}."
    app = "`uv run lychee-rerank app` opens the page with either"
    return f", which knows pictograms: {download} fetches {DEFAULT_MODEL}, {size}. {app}."
