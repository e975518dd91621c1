"""Reports on machines, and a machine without GPU, for the tests of doctor."""

from __future__ import annotations

from dataclasses import replace

from lychee_rerank.devices.memory import GIB
from lychee_rerank.devices.nvidia import GpuInfo
from lychee_rerank.doctor.report import Found, Place, Planned, Processor, Report, Versions

REAL = Found("vec-ai/lychee-rerank-mm", "~/hub", 16_582_000_000, ())
CUT = replace(REAL, problems=("model-00002-of-00004.safetensors is missing", "b is missing", "c is missing"))
RTX = GpuInfo("NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB, "570.86")
GPU = Processor("GPU 0", "NVIDIA GeForce RTX 4090", 23 * GIB, 24 * GIB)
CPU = Processor("CPU", "8 threads", 30 * GIB, 32 * GIB)
VERSIONS = Versions("0.1.0", "3.12.1", "Windows-11", "2.15.0+cu132", "CUDA 13.2", "5.23.0", "1.67.0", "570.86")
CPU_ONLY = replace(VERSIONS, torch="2.15.0+cpu", build="CPU only")


def places(*real: Found, named: tuple[Found, ...] = ()) -> tuple[Place, ...]:
    demo = Found("demo", "/app/demo", 16_000_000, ())
    return (
        Place("argument", "", named),
        Place("huggingface", "~/hub", real),
        Place("modelscope", "~/ms", ()),
        Place("demo", "", (demo,)),
    )


READY = Report(
    versions=VERSIONS,
    cards=(RTX,),
    processors=(GPU, CPU),
    disk="~/hub",
    disk_free=100 * GIB,
    places=places(REAL),
    in_use=REAL.name,
    plans=(Planned(REAL.name, True, "28 of 28 blocks on GPU 0", True, True, True),),
    troubles=(),
    runs=True,
)
ONLY_DEMO = replace(READY, in_use="demo", places=places())
