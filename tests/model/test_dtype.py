"""The type of the weights where none was asked for."""

from __future__ import annotations

import pytest

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.devices.memory import GIB
from lychee_rerank.model import dtype
from lychee_rerank.model.dtype import choose_dtype

PARTS = {"model.visual": 1 * GIB, "lm_head": 2 * GIB}
ON_CPU = DeviceMapPlan(dict.fromkeys(PARTS, "cpu"), "")
ON_GPU = DeviceMapPlan(dict.fromkeys(PARTS, 0), "")
PARTLY = DeviceMapPlan({"model.visual": 0, "lm_head": "cpu"}, "")


@pytest.fixture(params=[True, False], ids=["with BF16", "without BF16"])
def computes_bfloat16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(dtype, "computes_bfloat16", lambda: request.param)
    return bool(request.param)


def test_on_a_cpu_without_bf16_it_is_float32(computes_bfloat16: bool) -> None:
    assert choose_dtype(ON_CPU, PARTS, {"cpu": 7 * GIB}) == ("bfloat16" if computes_bfloat16 else "float32")


@pytest.mark.usefixtures("computes_bfloat16")
def test_it_stays_bf16_where_twice_the_bytes_do_not_fit() -> None:
    assert choose_dtype(ON_CPU, PARTS, {"cpu": 6 * GIB}) == "bfloat16"


@pytest.mark.usefixtures("computes_bfloat16")
@pytest.mark.parametrize("plan", [ON_GPU, PARTLY], ids=["on a GPU", "partly on a GPU"])
def test_it_stays_bf16_with_a_gpu(plan: DeviceMapPlan) -> None:
    assert choose_dtype(plan, PARTS, {0: 8 * GIB, "cpu": 100 * GIB}) == "bfloat16"
