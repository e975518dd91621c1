"""The fused attention of a vision block: the same values as transformers, one call for windows of one size."""

from __future__ import annotations

import platform
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module

from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vision_attention import fuse_attention
from lychee_rerank.model.vision_tower import VisionTower
from support.images import patchwork
from support.small_checkpoints import write_checkpoint, write_qwen3


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(write_checkpoint(tmp_path_factory.mktemp("attention") / "small"), dtype="float32")[0]


def attended_windows(tower: VisionTower, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """(windows, patches in each) of every attention call for an image of this size."""
    calls: list[Any] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def record(query: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append((query.shape[0], query.shape[2]))
        assert kwargs.get("attn_mask") is None
        return attend(query, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    with torch.inference_mode():
        tower(patchwork(1, *size))
    return calls


def test_windows_of_one_size_are_attended_to_in_one_call(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = attended_windows(VisionTower(loaded.model, loaded.image_processor), (420, 420), monkeypatch)
    config = loaded.model.config.vision_config
    full_blocks = len(config.fullatt_block_indexes)
    by_windows = [(49, 16), (14, 8), (1, 4)]  # 30 x 30 patches in windows of 4 x 4: halves at two edges
    assert sorted(calls) == sorted(by_windows * (config.depth - full_blocks) + [(1, 900)] * full_blocks)


def test_qwen3_attends_to_the_whole_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(write_qwen3(tmp_path / "qwen3"), dtype="float32")[0]
    calls = attended_windows(VisionTower(loaded.model, loaded.image_processor), (384, 384), monkeypatch)
    assert calls == [(1, 576)] * loaded.model.config.vision_config.depth


def test_an_attention_that_accelerate_moves_between_devices_still_moves(loaded: Any) -> None:
    attention = loaded.model.model.visual.blocks[0].attn
    add_hook_to_module(attention, AlignDevicesHook(execution_device="cpu"))
    moved = attention.forward
    fuse_attention(attention)
    assert attention.forward is moved
    assert attention._old_forward.__name__ == "_fused_forward"
    fuse_attention(attention, fused=False)
    assert attention._old_forward.__name__ == "forward"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc keeps memory")
def test_large_buffers_are_seldom_taken_from_the_system_anew(loaded: Any) -> None:
    VisionTower(loaded.model, loaded.image_processor)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(5):
        torch.ones(5_000_000)  # 20 MB: 4,900 pages
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before < 3 * 4900
