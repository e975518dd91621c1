"""Fused norms give the same bits as those of transformers, and can be unfused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRMSNorm
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRMSNorm

from lychee_rerank.model.rms_norm import fuse_norms


@pytest.mark.parametrize("kind", [Qwen2_5_VLRMSNorm, Qwen3VLTextRMSNorm])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [80, 256, 1280, 3584])
def test_a_fused_norm_gives_the_same_bits(kind: type[torch.nn.Module], dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(width)
    norm = kind(width)
    torch.nn.init.normal_(norm.weight)
    norm = norm.to(dtype)
    for size in (0.01, 1.0, 100.0):
        hidden = (torch.randn(1, 31, width) * size).to(dtype)
        expected = norm(hidden)
        fuse_norms(norm)
        assert norm.forward.__name__ == "_fused_forward"
        assert torch.equal(norm(hidden), expected)
        fuse_norms(norm, fused=False)
        assert norm.forward.__name__ == "forward"


def test_every_norm_of_a_model_is_fused(checkpoint: Path) -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint)
    fuse_norms(model)
    norms = [module for module in model.modules() if isinstance(module, Qwen2_5_VLRMSNorm)]
    assert norms
    assert all(norm.forward.__name__ == "_fused_forward" for norm in norms)


def test_a_norm_that_accelerate_moves_between_devices_still_moves() -> None:
    norm = Qwen2_5_VLRMSNorm(64)
    add_hook_to_module(norm, AlignDevicesHook(execution_device="cpu"))
    moved = norm.forward
    fuse_norms(norm)
    assert norm.forward is moved
    assert norm._old_forward.__name__ == "_fused_forward"
    assert torch.equal(norm(torch.ones(1, 64)), torch.ones(1, 64) * torch.rsqrt(torch.tensor(1 + 1e-6)))
