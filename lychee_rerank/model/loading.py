"""Checkpoint folder -> loaded model: BF16 as stored, placed on the devices there are, safetensors only, never from the
network.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import traceback
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lychee_rerank.devices.device_map import DeviceMapPlan, plan_device_map, summarize
from lychee_rerank.devices.memory import CacheReleaser, free_memory
from lychee_rerank.errors import CheckpointError, LycheeError, ModelError, OutOfMemoryError
from lychee_rerank.model import quantization as quantizing
from lychee_rerank.model.quantization import Quantize
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, yes_no_messages
from lychee_rerank.text.query import raw_query
from lychee_rerank.weights.families import Family, architectures, find_family
from lychee_rerank.weights.validate import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lychee_rerank.model.vlm import VisionLanguageModel

logger = logging.getLogger(__name__)

# Never from the network, and never a line of what a checkpoint brings along as code, nor the question whether to.
_FROM_FOLDER: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_WORDS_KEPT = 400  # of a library's complaint


def load_model(
    folder: Path,
    *,
    dtype: str = "bfloat16",
    device_map: str | Mapping[str, Any] = "auto",
    reserve_gib: float = 1.2,
    quantize: Quantize | None = None,
) -> tuple[VisionLanguageModel, DeviceMapPlan]:
    """Load a checkpoint folder of one of the `FAMILIES`.

    `device_map` is "auto" (GPUs first, `reserve_gib` kept free on each, the rest on the CPU), a device, or a full map.
    `quantize` is "8bit" or "4bit" for less memory and other scores. What an earlier model left is given back first.
    Raises CheckpointError for files that cannot be used, OutOfMemoryError and ModelError for what goes wrong while
    loading; nothing of the model stays in memory then, however long the error is kept.
    """
    import torch

    if quantize:
        quantizing.check(quantize)
    CacheReleaser().release()
    try:
        return _loaded(folder, getattr(torch, dtype), device_map, reserve_gib, quantize)
    except LycheeError as error:
        clear_traceback(error)
        raise
    except Exception as error:  # transformers raises whatever it stumbled over in a folder's files
        clear_traceback(error)
        raise _told(error, folder) from error


def clear_traceback(error: BaseException) -> None:
    """Empty the frames an error came through: whoever keeps the error must not keep the weights they held."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _told(error: Exception, folder: Path) -> LycheeError:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return OutOfMemoryError("The model does not fit into the GPU's free memory; raise the reserve or free some.")
    words = " ".join(str(error).split())[:_WORDS_KEPT]
    if isinstance(error, RuntimeError | ImportError):
        return ModelError(f"The model could not be loaded: {words}")
    return CheckpointError(f"{folder} cannot be loaded: {words}", folder=folder)


def _loaded(
    folder: Path, dtype: Any, device_map: str | Mapping[str, Any], reserve_gib: float, quantize: Quantize | None
) -> tuple[VisionLanguageModel, DeviceMapPlan]:
    import transformers
    from transformers.utils import logging as transformers_logging

    from lychee_rerank.model.vlm import VisionLanguageModel

    transformers_logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **_FROM_FOLDER)
    processor = getattr(transformers, _family(folder).image_processor).from_pretrained(folder, local_files_only=True)
    template = _chat_template(folder) or tokenizer.chat_template
    _check_template(tokenizer, template, folder)
    model = _weights(folder, dtype, device_map, reserve_gib, quantize)
    loaded = VisionLanguageModel(model, tokenizer, processor, template)
    summary = summarize(loaded.device_map, _sizes(model, loaded.device_map), reserve_gib)
    if quantize:
        summary = f"{summary}; {quantizing.summary(quantize)}"
    logger.log(logging.WARNING if quantize else logging.INFO, "%s: %s", folder.name, summary)
    return loaded, DeviceMapPlan(loaded.device_map, summary)


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
    model: PreTrainedModel
    model, found = getattr(transformers, _family(folder).architecture).from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        use_safetensors=True,
        attn_implementation="sdpa",
        ignore_mismatched_sizes=True,  # told below, in words
        output_loading_info=True,
        **_FROM_FOLDER,
        **options,
    )
    if offload:
        weakref.finalize(model, shutil.rmtree, offload, ignore_errors=True)
    _check_weights(model, found, folder)
    return model


def _check_weights(model: PreTrainedModel, found: Mapping[str, Any], folder: Path) -> None:
    """What transformers fills up with random numbers, or passes over, would give scores that only look right."""
    if mismatched := sorted(found["mismatched_keys"]):
        name, held, promised = mismatched[0]
        raise _unlike(folder, f"{name} has the shape {tuple(held)}, and config.json asks for {tuple(promised)}")
    if missing := sorted(found["missing_keys"]):
        raise _unlike(folder, f"its weights do not hold {missing[0]}")
    if damaged := next((name for name, weight in model.named_parameters() if not _is_finite(weight)), None):
        raise _unlike(folder, f"{damaged} holds values that are no numbers (NaN or infinity)")


def _is_finite(weight: Any) -> bool:
    """In one reading and without a copy; True where that is not to be had (Apple's GPU, weights left on the disk)."""
    import torch

    if weight.device.type not in ("cpu", "cuda") or not weight.is_floating_point() or not weight.numel():
        return True
    return all(math.isfinite(end) for end in torch.aminmax(weight.detach()))


def _check_template(tokenizer: Any, template: Any, folder: Path) -> None:
    """Before the weights are read: a chat template must give one picture one place."""
    messages = yes_no_messages(raw_query("picture"), DEFAULT_INSTRUCTION)
    prompt = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    if (places := prompt.count("<|image_pad|>")) != 1:
        raise _unlike(folder, f"its chat template gives one picture {places} places (<|image_pad|>)")


def _unlike(folder: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"The checkpoint in {folder} cannot be used: {problem}.", folder=folder, problems=(problem,))


def _planned(folder: Path, dtype: Any, reserve_gib: float, quantize: Quantize | None) -> str | Mapping[str, Any]:
    """Where each part goes on this machine; without any GPU simply "cpu"."""
    free = free_memory()
    if set(free) == {"cpu"}:
        return "cpu"
    stored = part_sizes(folder, dtype)
    planned = plan_device_map(part_sizes(folder, dtype, quantize), free, reserve_gib, offloaded_sizes=stored)
    logger.info("Loading %s: %s", folder.name, planned.summary)
    return planned.device_map


def part_sizes(folder: Path, dtype: Any, quantize: Quantize | None = None) -> dict[str, int]:
    """Bytes of each part of a checkpoint that is placed as a whole, in the model's order, without loading it."""
    import torch
    import transformers

    kind = getattr(transformers, _family(folder).architecture)
    with torch.device("meta"):
        model = kind._from_config(kind.config_class.from_pretrained(folder, **_FROM_FOLDER), dtype=dtype)
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
    family = find_family(architectures(read_json(folder / "config.json")[0]))
    if family is None:
        raise CheckpointError(f"The model in {folder} is of no family that is known here.", folder=folder)
    return family


def _chat_template(folder: Path) -> str | None:
    """Newer checkpoints keep the template as a file of its own, older ones inside `chat_template.json`."""
    modern, published = folder / "chat_template.jinja", folder / "chat_template.json"
    if modern.exists():
        return modern.read_text(encoding="utf-8")
    if published.exists():
        found: str | None = read_json(published)[0].get("chat_template")
        return found
    return None


def _sizes(model: PreTrainedModel, device_map: Mapping[str, Any]) -> dict[str, int]:
    sizes = dict.fromkeys(device_map, 0)
    for name, parameter in model.named_parameters():
        part = max((part for part in device_map if not part or name.startswith(part + ".")), key=len, default=None)
        if part is not None:
            sizes[part] += parameter.nbytes
    return sizes
