"""Blocks in 8 or 4 bits take less memory, are described as changing scores, and need bitsandbytes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from lychee_rerank.devices.device_map import plan_device_map
from lychee_rerank.devices.memory import GIB, DeviceId
from lychee_rerank.errors import InputError, ModelError
from lychee_rerank.images.load import load_image
from lychee_rerank.model.loading import load_model, part_sizes
from lychee_rerank.model.quantization import BYTES_PER_WEIGHT, Quantize
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import yes_no_messages
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.locate import DEMO_FOLDER
from support.images import encode, patchwork

BITS: tuple[Quantize, ...] = ("8bit", "4bit")

# Qwen2.5-VL-7B: vision tower 1.35 GB, embeddings and lm_head 1.09 GB each, 28 blocks of 233 million weights.
WEIGHTS_PER_BLOCK = 233_060_000
NON_BLOCKS = {
    "model.visual": 1_353_000_000,
    "model.language_model.embed_tokens": 1_090_000_000,
    "lm_head": 1_090_000_000,
}
MACHINES: dict[tuple[str, Quantize], tuple[dict[DeviceId, float], dict[DeviceId, int]]] = {
    ("24 GB", "8bit"): ({0: 22.8, "cpu": 60}, {0: 28}),
    ("16 GB", "8bit"): ({0: 15.0, "cpu": 30}, {0: 28}),
    ("12 GB", "8bit"): ({0: 11.5, "cpu": 30}, {0: 28}),
    ("12 GB with a desktop", "8bit"): ({0: 10.0, "cpu": 30}, {0: 20, "cpu": 8}),
    ("12 GB", "4bit"): ({0: 11.5, "cpu": 30}, {0: 28}),
    ("8 GB", "4bit"): ({0: 7.4, "cpu": 16}, {0: 17, "cpu": 11}),
    ("8 GB and little memory", "4bit"): ({0: 7.4, "cpu": 2}, {0: 17, "cpu": 4, "disk": 7}),
}


def seven_b(bytes_per_weight: float) -> dict[str, int]:
    blocks = {
        f"model.language_model.layers.{number}": int(WEIGHTS_PER_BLOCK * bytes_per_weight) for number in range(28)
    }
    return {**NON_BLOCKS, **blocks}


@pytest.mark.parametrize(("machine", "bits"), MACHINES)
def test_more_blocks_fit_on_a_gpu_and_offloaded_ones_count_as_stored(machine: str, bits: Quantize) -> None:
    free, expected = MACHINES[machine, bits]
    free_bytes = {device: int(gib * GIB) for device, gib in free.items()}
    plan = plan_device_map(seven_b(BYTES_PER_WEIGHT[bits]), free_bytes, 1.2, offloaded_sizes=seven_b(2))
    assert Counter(device for part, device in plan.device_map.items() if ".layers." in part) == expected


def test_without_bitsandbytes_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lychee_rerank.model.quantization.find_spec", lambda _: None)
    with pytest.raises(ModelError, match="needs bitsandbytes, which is not installed"):
        Reranker.from_pretrained("demo", device_map="cpu", quantize="4bit")


def test_another_number_of_bits_is_refused() -> None:
    with pytest.raises(InputError, match="not '3bit'"):
        Reranker.from_pretrained("demo", device_map="cpu", quantize="3bit")  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", BITS)
def test_only_the_matrices_of_the_blocks_get_smaller(bits: Quantize) -> None:
    stored, smaller = (part_sizes(DEMO_FOLDER, torch.bfloat16, quantize) for quantize in (None, bits))
    for part, size in stored.items():
        assert (smaller[part] < size) == (".layers." in part), part


@pytest.mark.parametrize("bits", BITS)
def test_a_quantized_model_scores_and_its_plan_and_log_say_that_scores_differ(
    bits: Quantize, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (the extra quantize)")
    backend, plan = load_model(DEMO_FOLDER, device_map="cpu", quantize=bits)
    assert f"blocks in {bits[0]} bits: scores differ" in plan.summary
    assert "scores differ" in caplog.text
    backend.score_yes_no(yes_no_messages(normalize_query("猫")), load_image(encode(patchwork(1))))
    names = {name: type(module).__name__ for name, module in backend.model.named_modules()}
    linear = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}[bits]
    assert {kind for name, kind in names.items() if name.endswith(("_proj", "lm_head", "qkv"))} == {linear, "Linear"}
    assert all((kind == linear) == (".layers." in name) for name, kind in names.items() if "Linear" in kind)


@pytest.mark.parametrize("bits", BITS)
def test_the_planned_sizes_are_those_of_the_loaded_weights(bits: Quantize) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (the extra quantize)")
    backend, _ = load_model(DEMO_FOLDER, device_map="cpu", quantize=bits)
    loaded_bytes = sum(weight.nbytes for weight in backend.model.parameters())
    assert sum(part_sizes(DEMO_FOLDER, torch.bfloat16, bits).values()) == pytest.approx(loaded_bytes, rel=0.02)
