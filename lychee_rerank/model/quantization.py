"""Decoder blocks in 8 or 4 bits, through bitsandbytes, for GPUs on which the model does not fit otherwise.

This changes scores, so it is only done when asked for. Vision tower, embeddings and lm_head stay as stored.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any, Literal

from lychee_rerank.errors import InputError, ModelError

Quantize = Literal["8bit", "4bit"]

# With the scales that bitsandbytes keeps: a float32 a row for 8 bits, 8 bits for every 64 weights for 4 bits.
BYTES_PER_WEIGHT: dict[Quantize, float] = {"8bit": 1.01, "4bit": 0.52}


def summary(quantize: Quantize) -> str:
    """For people: belongs to every description of a model loaded this way."""
    return f"blocks in {quantize[0]} bits: scores differ from those of the full model"


def check(quantize: Quantize) -> None:
    """Raises InputError for another value, ModelError where bitsandbytes is not installed."""
    if quantize not in BYTES_PER_WEIGHT:
        raise InputError(f'quantize is "8bit", "4bit" or None, not {quantize!r}.')
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            "Loading in 8 or 4 bits needs bitsandbytes, which is not installed: start with "
            "`uv run --extra quantize ...`, or load the model as it is."
        )


def nbytes(weight: Any, quantize: Quantize) -> int:
    """Bytes of a decoder block's weight once loaded: only linear layers are quantized, the only matrices there."""
    return int(weight.numel() * BYTES_PER_WEIGHT[quantize]) if weight.ndim == 2 else weight.nbytes


def configuration(quantize: Quantize, dtype: Any, *, offloaded: bool) -> Any:
    """The `quantization_config` for transformers. `offloaded`: part of the model stays outside the GPU, as stored."""
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns for every layer that inputs become float16
    return BitsAndBytesConfig(
        load_in_8bit=quantize == "8bit",
        load_in_4bit=quantize == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=["model.visual", "lm_head"],
        llm_int8_enable_fp32_cpu_offload=offloaded,
    )
