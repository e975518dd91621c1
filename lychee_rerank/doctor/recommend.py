"""What to do next, from a report on a machine: one to three plain sentences, the most important first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from lychee_rerank.devices.memory import GIB, format_bytes
from lychee_rerank.weights.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from lychee_rerank.doctor.report import Found, Report

_MOST = 3
_PUBLISHED_BYTES = 16_582_000_000
_RUN = "uv run lychee-rerank"

# uv asks the driver which build it can use. The project's settings are left out: they hold a date, and not all of
# PyTorch's own builds carry one.
TORCH_FOR_THE_CARD = (
    "uv pip install --no-config --torch-backend=auto --reinstall-package torch --reinstall-package torchvision "
    "torch torchvision"
)


def next_steps(report: Report) -> tuple[str, ...]:
    """What stands in the way first; if nothing does, how to start."""
    steps = tuple(islice(_steps(report), _MOST))
    return steps or (f"Everything is ready: `{_RUN} app` opens the page.",)


def _steps(report: Report) -> Iterator[str]:
    if report.versions.build is None:
        yield from _torch_is_missing(report)
        return
    yield from _card_is_not_used(report)
    yield from _weights_are_damaged(report)
    yield from _weights_are_missing(report)
    yield from _memory_is_short(report)


def _torch_is_missing(report: Report) -> Iterator[str]:
    yield (
        f"Nothing can be scored: {'; '.join(report.troubles)}. Install it again with "
        "`uv sync --reinstall-package torch --reinstall-package torchvision --reinstall-package transformers`."
    )
    if report.versions.system.startswith("Windows"):
        yield "If that does not help, install Microsoft's Visual C++ Redistributable, which PyTorch needs on Windows."


def _card_is_not_used(report: Report) -> Iterator[str]:
    """An NVIDIA card that torch does not see: it was built without CUDA, or for a newer driver, or told not to look."""
    if not report.cards or any(processor.name.startswith("GPU") for processor in report.processors):
        return
    card, hidden = report.cards[0].title, os.environ.get("CUDA_VISIBLE_DEVICES")
    if not (report.versions.build or "").startswith("CUDA"):
        yield (
            f"The {card} is not used, because PyTorch {report.versions.torch} is built without CUDA. Install the build "
            f"for it with `{TORCH_FOR_THE_CARD}`, and from then on start with `uv run --no-sync`: `uv run` alone "
            "brings the old build back."
        )
    elif hidden is not None and not hidden.strip("-1 "):
        yield f"The {card} is not used, because CUDA_VISIBLE_DEVICES hides it: unset that variable."
    else:
        yield (
            f"The {card} is not used: PyTorch, built for {report.versions.build}, cannot reach it. Update NVIDIA's "
            f"driver (this one is {report.versions.driver or 'unknown'}), or install the build for this driver with "
            f"`{TORCH_FOR_THE_CARD}` and from then on start with `uv run --no-sync`."
        )


def _weights_are_damaged(report: Report) -> Iterator[str]:
    for place in report.places:
        for found in place.found:
            if not found.problems:
                continue
            if place.source == "argument":
                yield f"The weights asked for cannot be used: {_problems(found)}. Name others or repair these."
            elif place.source == "demo":
                yield f"The built-in demo weights are damaged: {_problems(found)}. Install lychee-rerank again."
            elif report.in_use != found.name:
                again = f"{_RUN} download" + (" --from modelscope" if place.source == "modelscope" else "")
                yield f"The weights in {found.path} are damaged: {_problems(found)}. `{again}` fetches what is missing."


def _memory_is_short(report: Report) -> Iterator[str]:
    model = report.plans[-1] if report.plans else None  # the real one, here or not
    if model is None:
        return
    if model.on_empty_gpu and not model.on_gpu:
        yield f"Close other programs that use the GPU: without them all of {model.name} would fit on it."
    elif not model.fits:
        yield (
            f"There is too little memory for {model.name}: close other programs, or let another machine score "
            "(`--server`)."
        )


def _weights_are_missing(report: Report) -> Iterator[str]:
    if report.in_use != "demo" or any(place.found for place in report.places if place.source != "demo"):
        return
    size = f"{_PUBLISHED_BYTES / 1e9:.1f} GB ({format_bytes(_PUBLISHED_BYTES)})"
    if report.disk_free < _PUBLISHED_BYTES + GIB:
        yield (
            f"Only the demo model is here. The real weights take {size}, and {format_bytes(report.disk_free)} are free in "
            f"{report.disk}: free some, or set HF_HOME to a larger disk; then run `{_RUN} download`."
        )
    else:
        yield (
            f"Only the demo model is here, which knows pictograms: `{_RUN} download` fetches {DEFAULT_MODEL}, {size}. "
            f"`{_RUN} app` opens the page with either."
        )


def _problems(found: Found) -> str:
    """The first few; a folder that lost everything would fill the screen."""
    listed = "; ".join(problem.rstrip(".") for problem in found.problems[:2])
    return listed + (f"; and {len(found.problems) - 2} more" if len(found.problems) > 2 else "")
