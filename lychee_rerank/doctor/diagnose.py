"""What this machine has, what of it the app can use, where each part of the model would go and how fast it would be.

`examine()` gathers the facts. It loads no weights, changes nothing and goes to no network.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lychee_rerank.devices.device_map import WORKSPACE_BYTES, DeviceId, DeviceMapPlan, plan_device_map
from lychee_rerank.devices.memory import CacheReleaser, device_name, free_memory, memory_usage
from lychee_rerank.devices.nvidia import list_gpus
from lychee_rerank.doctor.estimate import (
    PUBLISHED_PARTS,
    PUBLISHED_SIGHT,
    TOKENS_BEHIND_PICTURE,
    Sight,
    Speed,
    estimate,
    sight_of,
)
from lychee_rerank.doctor.recommend import next_steps
from lychee_rerank.doctor.redact import without_names
from lychee_rerank.doctor.report import Found, Place, Planned, Processor, Report, Versions
from lychee_rerank.errors import CheckpointError
from lychee_rerank.weights.locate import DEFAULT_MODEL, Checkpoint, list_checkpoints, resolve_checkpoint

_MEASURED_SECONDS = 0.1  # each of the two to four things measured on a device
_ROWS = PUBLISHED_SIGHT.tokens + TOKENS_BEHIND_PICTURE


def examine(model: str = "auto", *, reserve_gib: float = 1.2, measure: bool = True) -> Report:
    """The report on this machine. `model` is as for `find_checkpoint`; `measure` takes about a second a device."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if model == "auto":
        model = os.environ.get("LYCHEE_MODEL", "").strip() or model
    seen, chosen, troubles = list_gpus(), _chosen(model), list(_import_troubles())
    works, places = not troubles, tuple(_places(model))
    free = _free(troubles) if works else {}
    speeds = _speeds(free, troubles) if measure else {}
    report = Report(
        versions=_versions(seen[0].driver if seen else None, works),
        cards=seen,
        processors=_processors(free, speeds),
        disk=HF_HUB_CACHE,
        disk_free=shutil.disk_usage(_existing(Path(HF_HUB_CACHE))).free,
        places=places,
        in_use=chosen.name if chosen else None,
        plans=tuple(_plans(chosen, free, reserve_gib, speeds, troubles)) if works else (),
        troubles=tuple(troubles),
        runs=works and any(not found.problems for place in places for found in place.found),
    )
    return without_names(replace(report, next_steps=next_steps(report)))


def _import_troubles() -> Iterator[str]:
    """What keeps a model from being loaded at all; torch and torchvision of different builds are found here."""
    for name in ("torch", "torchvision", "transformers"):
        try:
            if name == "transformers":  # imports its models only when they are asked for
                import_module(name).Qwen2_5_VLForConditionalGeneration  # noqa: B018
            import_module(name)
        except (ImportError, OSError, RuntimeError) as error:  # OSError: a library that it is linked to is missing
            yield f"{name} cannot be loaded: {_first_line(error)}"
            return


def _versions(driver: str | None, works: bool) -> Versions:
    return Versions(
        app=_installed("lychee-rerank"),
        python=platform.python_version(),
        system=platform.platform(),
        torch=_torch_version() if works else _installed("torch"),
        build=_torch_build() if works else None,
        transformers=_installed("transformers"),
        streamlit=_installed("streamlit"),
        driver=driver,
    )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torch_version() -> str:
    import torch

    return str(torch.__version__)  # with the build behind a "+", which the installed package's version leaves out


def _torch_build() -> str:
    import torch

    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return "Metal" if torch.backends.mps.is_built() else "CPU only"


def _free(troubles: list[str]) -> Mapping[DeviceId, int]:
    """Free memory of every device that works; what a driver complains of is added to `troubles`."""
    import psutil

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            free = free_memory()
        except RuntimeError as error:  # a GPU that is there and does not answer
            troubles.append(f"the GPU cannot be used: {_first_line(error)}")
            return {"cpu": psutil.virtual_memory().available}
    troubles += [str(warning.message).splitlines()[0] for warning in told]
    return free


def _processors(free: Mapping[DeviceId, int], speeds: Mapping[DeviceId, Speed]) -> tuple[Processor, ...]:
    totals = _totals()
    return tuple(
        Processor(device_name(device), _title(device), room, totals[device_name(device)], speeds.get(device))
        for device, room in free.items()
    )


def _title(device: DeviceId) -> str:
    import torch

    if isinstance(device, int):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}" if device == "cpu" else platform.machine()


def _totals() -> dict[str, int]:
    """Bytes of memory by a device's name."""
    return {device.device: device.total for device in memory_usage()}


def _places(model: str) -> Iterator[Place]:
    """Every place where weights are looked for, in order, also where there is nothing."""
    from huggingface_hub.constants import HF_HUB_CACHE

    modelscope = os.environ.get("MODELSCOPE_CACHE") or str(Path.home() / ".cache" / "modelscope")
    yield Place("argument", model if model != "auto" else "", _named(model))
    listed = list_checkpoints()
    for source, where in (("huggingface", HF_HUB_CACHE), ("modelscope", modelscope), ("demo", "")):
        yield Place(source, where, tuple(_described(each) for each in listed if each.source == source))


def _named(model: str) -> tuple[Found, ...]:
    """What the person named, if anything; what is wrong with it is told, not raised."""
    if model == "auto":
        return ()
    try:
        return (_described(resolve_checkpoint(model)),)
    except CheckpointError as error:
        return (Found(model, str(error.folder or model), 0, (str(error),)),)


def _described(checkpoint: Checkpoint) -> Found:
    return Found(checkpoint.name, str(checkpoint.path), checkpoint.size, checkpoint.problems)


def _chosen(model: str) -> Checkpoint | None:
    """What would be loaded; None where that is damaged."""
    try:
        chosen = resolve_checkpoint(model)
    except CheckpointError:
        return None
    return None if chosen.problems else chosen


def _plans(
    chosen: Checkpoint | None,
    free: Mapping[DeviceId, int],
    reserve_gib: float,
    speeds: Mapping[DeviceId, Speed],
    troubles: list[str],
) -> Iterator[Planned]:
    """For what would be loaded, and for the published weights as long as they are not."""
    import torch

    from lychee_rerank.model.loading import part_sizes

    if chosen:
        try:
            parts, sight = part_sizes(chosen.path, torch.bfloat16), sight_of(chosen.path)
        except Exception as error:  # whatever transformers stumbles over in a config.json
            troubles.append(f"{chosen.name} cannot be planned for: {_first_line(error)}")
        else:
            yield _planned(chosen.name, parts, sight, free, reserve_gib, speeds)
    if chosen is None or chosen.is_demo:
        published = _planned(DEFAULT_MODEL, PUBLISHED_PARTS, PUBLISHED_SIGHT, free, reserve_gib, speeds)
        yield replace(published, here=False)


def _planned(
    name: str,
    parts: Mapping[str, int],
    sight: Sight,
    free: Mapping[DeviceId, int],
    reserve_gib: float,
    speeds: Mapping[DeviceId, Speed],
) -> Planned:
    planned, totals = plan_device_map(parts, free, reserve_gib), _totals()
    without_others = plan_device_map(parts, {device: totals[device_name(device)] for device in free}, reserve_gib)
    in_memory = sum(size for part, size in parts.items() if planned.device_map[part] == "cpu")
    fits = not in_memory or in_memory + WORKSPACE_BYTES <= free["cpu"]
    least = estimate(parts, planned.device_map, sight, speeds) if fits else None
    return Planned(name, True, planned.summary, fits, _on_gpu(planned), _on_gpu(without_others), least)


def _on_gpu(planned: DeviceMapPlan) -> bool:
    return not {"cpu", "disk"} & set(planned.device_map.values())


def _speeds(free: Mapping[DeviceId, int], troubles: list[str]) -> dict[DeviceId, Speed]:
    speeds: dict[DeviceId, Speed] = {}
    for device in free:
        try:
            speeds[device] = measured(device)
        except RuntimeError as error:  # out of memory among them
            troubles.append(f"{device_name(device)} could not be measured: {_first_line(error)}")
    CacheReleaser().release()
    return speeds


def measured(device: DeviceId) -> Speed:
    """How fast a device is, in about half a second, with the shapes of the published model in BF16.

    Raises RuntimeError where the device fails or has no room for a matrix of 136 MB.
    """
    import torch
    from torch.nn import functional as F

    where = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    gpu = where.type != "cpu"
    large = torch.ones(18_944, 3584, dtype=torch.bfloat16, device=where)
    matrix = large if gpu else large[:2048, :2048].contiguous()  # a slow CPU must be done in time too
    rows, row = matrix.new_ones(_ROWS, matrix.shape[1]), large.new_ones(1, large.shape[1])
    finish = torch.get_device_module(where).synchronize

    def lap(work: Callable[[], Any]) -> float:
        return _seconds(work, finish)

    with torch.inference_mode():
        flops = 2 * _ROWS * matrix.numel() / lap(lambda: F.linear(rows, matrix))
        reading = large.nbytes / lap(lambda: F.linear(row, large))
        small = large.new_ones(1, 256)
        starting = lap(lambda: F.rms_norm(small, (256,)))
        kept = torch.ones(32 * 2**20, dtype=torch.uint8)
        fetching = kept.nbytes / lap(lambda: kept.to(where)) if gpu else None
    return Speed(flops, reading, starting, fetching)


def _seconds(work: Callable[[], Any], finish: Callable[[], Any]) -> float:
    """How long one piece of work takes when many are done one after the other."""
    work()
    finish()
    count, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(count):
            work()
        finish()
        spent = time.perf_counter() - start
        if spent >= _MEASURED_SECONDS:
            return spent / count
        count *= 4 if spent < _MEASURED_SECONDS / 8 else 2


def _existing(folder: Path) -> Path:
    return next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path.cwd())


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
