"""Padding changes no result."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLMLP

from lychee_rerank.model.mlp_padding import pad_mlp, pad_mlps


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_padded_mlp_computes_the_same(bias: bool) -> None:
    config = Qwen2_5_VLConfig(vision_config={"hidden_size": 48, "intermediate_size": 107}).vision_config
    mlp, states = Qwen2_5_VLMLP(config, bias=bias), torch.randn(10, 48)
    expected = mlp(states)
    pad_mlp(mlp)
    assert mlp.down_proj.weight.shape == (48, 128)
    assert torch.allclose(mlp(states), expected, atol=1e-6)


def test_only_a_gpu_gets_padding() -> None:
    config = Qwen2_5_VLConfig(vision_config={"hidden_size": 48, "intermediate_size": 107}).vision_config
    mlp = Qwen2_5_VLMLP(config, bias=True)
    pad_mlps(mlp)
    assert mlp.down_proj.weight.shape == (48, 107)
