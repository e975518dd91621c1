"""What this machine has, which model it would use, where each part of it would go, and how fast it would be."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module, metadata

from lychee_rerank.devices.device_map import plan_device_map
from lychee_rerank.devices.inventory import Device, first_line, list_devices
from lychee_rerank.devices.memory import DeviceId
from lychee_rerank.devices.nvidia import list_gpus
from lychee_rerank.devices.speed import measure_speed
from lychee_rerank.doctor.estimate import estimate
from lychee_rerank.doctor.recommend import recommend
from lychee_rerank.doctor.redact import redact
from lychee_rerank.doctor.report import ModelPlan, Report
from lychee_rerank.weights import model_size
from lychee_rerank.weights.cache import huggingface_root
from lychee_rerank.weights.locate import DEFAULT_MODEL, Checkpoint
from lychee_rerank.weights.search import search_locations


def diagnose(model: str = "auto", *, reserve_gib: float = 1.2, measure: bool = True) -> Report:
    """The report on this machine, with nobody's name in it. Loads no weights, changes nothing and contacts nobody.

    model: as for `find_checkpoint`. measure: takes one to two seconds a device.
    """
    checkpoint, locations = search_locations(model)
    gpus, issues = list_gpus(), list(_import_issues())
    can_load = not issues
    devices, issues = list_devices(measure=measure) if can_load else ({}, issues)
    plans = tuple(_plan_models(checkpoint, devices, reserve_gib, issues)) if can_load else ()
    cache = huggingface_root()
    report = Report(
        versions=_versions(can_load, gpus[0].driver if gpus else None),
        gpus=gpus,
        devices=tuple(devices.values()),
        cache_folder=str(cache),
        disk_free=shutil.disk_usage(next(path for path in (cache, *cache.absolute().parents) if path.exists())).free,
        locations=locations,
        in_use=checkpoint.name if checkpoint else None,
        plans=plans,
        issues=tuple(issues),
        can_score=can_load and any(not entry.problems for location in locations for entry in location.checkpoints),
    )
    redacted: Report = redact(replace(report, next_steps=recommend(report)))
    return redacted


def _import_issues() -> Iterator[str]:
    """Why no model can be loaded, for example that torch and torchvision are of different builds."""
    for module in ("torch", "torchvision", "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl"):
        try:
            import_module(module)
        except (ImportError, OSError, RuntimeError) as error:  # OSError: a shared library is missing
            yield f"{module.partition('.')[0]} cannot be loaded: {first_line(error)}"
            return


def _versions(can_load: bool, driver: str | None) -> dict[str, str | None]:
    """None for what is missing. build: what torch is built for, "CPU only" or for example "CUDA 13.2"."""
    installed = {package.name: package.version for package in reversed(list(metadata.distributions()))}
    versions = {name: installed.get(name) for name in ("torch", "transformers", "streamlit")}
    versions |= {"app": installed.get("lychee-rerank"), "driver": driver, "build": None}
    if can_load:
        import torch

        cuda, hip, metal = torch.version.cuda, torch.version.hip, torch.backends.mps.is_built()
        build = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "Metal" if metal else "CPU only"
        versions |= {"torch": str(torch.__version__), "build": build}
    return {**versions, "python": platform.python_version(), "system": platform.platform()}


def _plan_models(
    checkpoint: Checkpoint | None, devices: Mapping[DeviceId, Device], reserve_gib: float, issues: list[str]
) -> Iterator[ModelPlan]:
    """Of the checkpoint in use, and of the published weights as long as they are not."""
    import torch

    from lychee_rerank.model.dtype import choose_dtype
    from lychee_rerank.model.loading import part_sizes
    from lychee_rerank.model.memory_shortage import describe_shortage

    free = {device_id: device.free for device_id, device in devices.items()}
    total = {device_id: device.total for device_id, device in devices.items()}
    speeds = {device_id: device.speed for device_id, device in devices.items() if device.speed}

    def plan(name: str, sizes: Mapping[str, int], vision: model_size.VisionWorkload, installed: bool) -> ModelPlan:
        device_map_plan, rates, bytes_per_weight = plan_device_map(sizes, free, reserve_gib), speeds, 2
        dtype = choose_dtype(device_map_plan, sizes, free)
        if dtype == "float32":
            sizes, bytes_per_weight = {part: 2 * size for part, size in sizes.items()}, 4
            device_map_plan = plan_device_map(sizes, free, reserve_gib)
            rates = {"cpu": measure_speed("cpu", dtype)} if speeds else {}
        device_map_plan = replace(device_map_plan, dtype=dtype)
        shortage = describe_shortage(sizes, free, reserve_gib, name=name)
        fits_empty_gpu = plan_device_map(sizes, total, reserve_gib).on_gpu
        seconds = estimate(sizes, device_map_plan.device_map, vision, rates, bytes_per_weight=bytes_per_weight)
        return ModelPlan(
            name, installed, device_map_plan, not shortage, fits_empty_gpu, None if shortage else seconds, shortage
        )

    if checkpoint:
        try:
            sizes, vision = part_sizes(checkpoint.path, torch.bfloat16), model_size.vision_workload(checkpoint.path)
            yield plan(checkpoint.name, sizes, vision, True)
        except Exception as error:  # whatever transformers raises at a config.json
            issues.append(f"{checkpoint.name} cannot be planned for: {first_line(error)}")
    if checkpoint is None or checkpoint.is_demo:
        yield plan(DEFAULT_MODEL, model_size.DEFAULT_MODEL_PART_SIZES, model_size.DEFAULT_MODEL_VISION, False)
