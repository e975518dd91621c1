"""Checkpoint folder -> loaded model: BF16 as stored, placed on the devices there are, safetensors only, never from the
network.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import traceback
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lychee_rerank import quantize as quantizing
from lychee_rerank.errors import CheckpointError, LycheeError, ModelError, OutOfMemoryError
from lychee_rerank.families import Family, find_family
from lychee_rerank.memory import Placement, Releaser, describe, free_memory
from lychee_rerank.placement import plan
from lychee_rerank.quantize import Quantize

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lychee_rerank.model import VisionLanguageModel

logger = logging.getLogger(__name__)


def load_model(
    folder: Path,
    *,
    dtype: str = "bfloat16",
    device_map: str | Mapping[str, Any] = "auto",
    reserve_gib: float = 1.2,
    quantize: Quantize | None = None,
) -> tuple[VisionLanguageModel, Placement]:
    """Load a checkpoint folder of one of the `FAMILIES`.

    `device_map` is "auto" (GPUs first, `reserve_gib` kept free on each, the rest on the CPU), a device, or a full map.
    `quantize` is "8bit" or "4bit" for less memory and other scores. What an earlier model left is given back first.
    Raises CheckpointError for files that cannot be used, OutOfMemoryError and ModelError for what goes wrong while
    loading; nothing of the model stays in memory then, however long the error is kept.
    """
    import torch

    if quantize:
        quantizing.check(quantize)
    Releaser().now()
    try:
        return _loaded(folder, getattr(torch, dtype), device_map, reserve_gib, quantize)
    except LycheeError as error:
        let_go(error)
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        let_go(error)
        raise _told(error, folder) from error


def let_go(error: BaseException) -> None:
    """Empty the frames an error came through: whoever keeps the error must not keep the weights they held."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _told(error: Exception, folder: Path) -> LycheeError:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return OutOfMemoryError("The model does not fit into the GPU's free memory; raise the reserve or free some.")
    if isinstance(error, RuntimeError | ImportError):
        return ModelError(f"The model could not be loaded: {error}")
    return CheckpointError(f"{folder} cannot be loaded: {error}", folder=folder)


def _loaded(
    folder: Path, dtype: Any, device_map: str | Mapping[str, Any], reserve_gib: float, quantize: Quantize | None
) -> tuple[VisionLanguageModel, Placement]:
    import transformers
    from transformers.utils import logging as transformers_logging

    from lychee_rerank.model import VisionLanguageModel

    transformers_logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    processor = getattr(transformers, _family(folder).image_processor).from_pretrained(folder, local_files_only=True)
    model = _weights(folder, dtype, device_map, reserve_gib, quantize)
    loaded = VisionLanguageModel(model, tokenizer, processor, _chat_template(folder) or tokenizer.chat_template)
    placement = describe(loaded.device_map, _sizes(model, loaded.device_map), reserve_gib)
    if quantize:
        placement = replace(placement, words=f"{placement.words}; {quantizing.words(quantize)}")
    logger.log(logging.WARNING if quantize else logging.INFO, "%s: %s", folder.name, placement.words)
    return loaded, placement


def _weights(
    folder: Path, dtype: Any, device_map: str | Mapping[str, Any], reserve_gib: float, quantize: Quantize | None
) -> PreTrainedModel:
    import transformers

    if device_map == "auto":
        device_map = _planned(folder, dtype, reserve_gib, quantize)
    devices = set(device_map.values()) if isinstance(device_map, Mapping) else {device_map}
    options: dict[str, Any] = {}
    if quantize:
        mixed = len(devices) > 1 and bool(devices & {"cpu", "disk"})
        options["quantization_config"] = quantizing.configuration(quantize, dtype, mixed=mixed)
    offload = tempfile.mkdtemp(prefix="lychee-rerank-") if "disk" in devices else None
    if offload:
        # Blocks are read from the checkpoint's own files; the folder takes only what cannot be.
        options |= {"offload_folder": offload, "offload_buffers": True}
    model: PreTrainedModel = getattr(transformers, _family(folder).architecture).from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        use_safetensors=True,
        local_files_only=True,
        attn_implementation="sdpa",
        **options,
    )
    if offload:
        weakref.finalize(model, shutil.rmtree, offload, ignore_errors=True)
    return model


def _planned(folder: Path, dtype: Any, reserve_gib: float, quantize: Quantize | None) -> str | Mapping[str, Any]:
    """Where each part goes on this machine; without any GPU simply "cpu"."""
    free = free_memory()
    if set(free) == {"cpu"}:
        return "cpu"
    stored = part_sizes(folder, dtype)
    planned = plan(part_sizes(folder, dtype, quantize), free, reserve_gib, outside=stored)
    logger.info("Loading %s: %s", folder.name, planned.words)
    return planned.device_map


def part_sizes(folder: Path, dtype: Any, quantize: Quantize | None = None) -> dict[str, int]:
    """Bytes of each part of a checkpoint that is placed as a whole, in the model's order, without loading it."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, _family(folder).architecture)._from_config(
            transformers.AutoConfig.from_pretrained(folder, local_files_only=True), dtype=dtype
        )
    language = model.model.language_model
    parts = {"model.visual": model.model.visual}
    parts |= {f"model.language_model.{name}": part for name, part in language.named_children() if name != "layers"}
    sizes = {name: sum(weight.nbytes for weight in part.parameters()) for name, part in parts.items()}
    sizes |= {
        f"model.language_model.layers.{number}": sum(_weight_sizes(block, quantize))
        for number, block in enumerate(language.layers)
    }
    tied = model.config.tie_word_embeddings
    return {**sizes, "lm_head": 0 if tied else model.lm_head.weight.nbytes}


def _weight_sizes(block: Any, quantize: Quantize | None) -> Iterator[int]:
    """Bytes of each weight of a decoder block; only those of linear layers, its only matrices, are quantized."""
    for weight in block.parameters():
        if quantize and weight.ndim == 2:
            yield int(weight.numel() * quantizing.BYTES_PER_WEIGHT[quantize])
        else:
            yield weight.nbytes


def _family(folder: Path) -> Family:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    family = find_family(config.get("architectures") or [])
    if family is None:
        raise CheckpointError(f"The model in {folder} is of no family that is known here.", folder=folder)
    return family


def _chat_template(folder: Path) -> str | None:
    """Newer checkpoints keep the template as a file of its own, older ones inside `chat_template.json`."""
    modern, published = folder / "chat_template.jinja", folder / "chat_template.json"
    if modern.exists():
        return modern.read_text(encoding="utf-8")
    if published.exists():
        return str(json.loads(published.read_text(encoding="utf-8"))["chat_template"])
    return None


def _sizes(model: PreTrainedModel, device_map: Mapping[str, Any]) -> dict[str, int]:
    sizes = dict.fromkeys(device_map, 0)
    for name, parameter in model.named_parameters():
        part = max((part for part in device_map if not part or name.startswith(part + ".")), key=len, default=None)
        if part is not None:
            sizes[part] += parameter.nbytes
    return sizes
