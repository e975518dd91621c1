"""measure_speed on the devices of this machine."""

from __future__ import annotations

import pytest
import torch

from lychee_rerank.devices.speed import measure_speed


@pytest.mark.slow
def test_the_cpu_is_measured() -> None:
    speed = measure_speed("cpu")
    assert speed.flops > 0
    assert speed.read_rate > 0
    assert speed.launch_time > 0
    assert speed.transfer_rate is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_measured_and_its_memory_is_given_back() -> None:
    speed = measure_speed(0)
    assert speed.transfer_rate is not None
    assert speed.read_rate > speed.transfer_rate > 0
    assert torch.cuda.memory_allocated(0) == 0
