"""Reports on machines, for the tests of doctor."""

from __future__ import annotations

from dataclasses import replace

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.devices.inventory import Device
from lychee_rerank.devices.memory import GIB
from lychee_rerank.devices.nvidia import GpuInfo
from lychee_rerank.doctor.report import ModelPlan, Report
from lychee_rerank.weights.search import FoundCheckpoint, SearchLocation

COMPLETE = FoundCheckpoint("vec-ai/lychee-rerank-mm", "~/hub", 16_582_000_000)
DAMAGED = replace(COMPLETE, problems=("model-00002-of-00004.safetensors is missing", "b is missing", "c is missing"))
MISSING = FoundCheckpoint("mine", "~/mine", 0, ("there is no folder ~/mine.",))
RTX_4090 = GpuInfo("NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB, "570.86")
GPU = Device("GPU 0", "NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB)
CPU = Device("CPU", "8 threads", 30 * GIB, 32 * GIB)
VERSIONS = {
    "app": "0.1.0",
    "python": "3.12.1",
    "system": "Windows-11",
    "torch": "2.15.0+cu132",
    "build": "CUDA 13.2",
    "transformers": "5.23.0",
    "streamlit": "1.67.0",
    "driver": "570.86",
}
CPU_VERSIONS = {**VERSIONS, "torch": "2.15.0+cpu", "build": "CPU only"}
ON_GPU = DeviceMapPlan({"lm_head": 0}, "28 of 28 blocks on GPU 0", "bfloat16")
ON_CPU = DeviceMapPlan({"lm_head": "cpu"}, "28 of 28 blocks on CPU", "bfloat16")


def locations(
    *cached: FoundCheckpoint, argument: tuple[FoundCheckpoint, ...] = (), modelscope: tuple[FoundCheckpoint, ...] = ()
) -> tuple[SearchLocation, ...]:
    return (
        SearchLocation("argument", "", argument),
        SearchLocation("huggingface", "~/hub", cached),
        SearchLocation("modelscope", "~/ms", modelscope),
        SearchLocation("demo", "", (FoundCheckpoint("demo", "/app/demo", 16_000_000),)),
    )


READY = Report(
    versions=VERSIONS,
    gpus=(RTX_4090,),
    devices=(GPU, CPU),
    cache_folder="~/hub",
    disk_free=100 * GIB,
    locations=locations(COMPLETE),
    in_use=COMPLETE.name,
    plans=(ModelPlan(COMPLETE.name, True, ON_GPU, True, True),),
    issues=(),
    can_score=True,
)
ONLY_DEMO = replace(READY, in_use="demo", locations=locations())
