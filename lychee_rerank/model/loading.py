"""Checkpoint folder -> loaded model: weights as stored, placed on the devices there are, from safetensors only."""

from __future__ import annotations

import logging
import math
import shutil
import sys
import tempfile
import traceback
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from lychee_rerank.devices.device_map import DeviceMapPlan, plan_device_map, summarize
from lychee_rerank.devices.memory import CacheReleaser, DeviceId, cpu_usage, free_memory
from lychee_rerank.devices.processor import computes_bfloat16
from lychee_rerank.errors import CheckpointError, LycheeError, ModelError, OutOfMemoryError
from lychee_rerank.model import quantization
from lychee_rerank.model.dtype import choose_dtype
from lychee_rerank.model.memory_shortage import describe_shortage
from lychee_rerank.model.prompt_encoding import IMAGE_PAD, PromptEncoder
from lychee_rerank.model.quantization import Quantize
from lychee_rerank.text.prompts import yes_no_messages
from lychee_rerank.text.query import raw_query
from lychee_rerank.weights.families import Family, architectures, find_family
from lychee_rerank.weights.validate import expected_shards, read_chat_template, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lychee_rerank.model.vlm import VisionLanguageModel

logger = logging.getLogger(__name__)

# Nothing from the network, and no code that a checkpoint brings along: it is neither run nor asked about.
_LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_MAX_REASON_LENGTH = 400  # characters of a library's error message

DeviceMap = str | Mapping[str, Any]  # one device, or a device for each part


def load_model(
    folder: Path,
    *,
    dtype: str = "auto",
    device_map: DeviceMap = "auto",
    reserve_gib: float = 1.2,
    quantize: Quantize | None = None,
) -> tuple[VisionLanguageModel, DeviceMapPlan]:
    """Load a checkpoint folder of one of the `FAMILIES`, after releasing what an earlier model left cached.

    `dtype` is "auto" (BF16; see `choose_dtype` for the exception), or the name of a torch type.
    `device_map` is "auto" (GPUs first, `reserve_gib` kept free on each, the rest on the CPU), a device, or a full map.
    `quantize` is "8bit" or "4bit" for less memory and other scores. Raises CheckpointError for files that cannot be
    used, OutOfMemoryError, before anything is read, where memory is too short, and ModelError for what goes wrong while
    loading; an error that is kept holds no weights.
    """
    if quantize:
        quantization.check(quantize)
    CacheReleaser().release()
    try:
        return _load(folder, dtype, device_map, reserve_gib, quantize)
    except LycheeError as error:
        clear_traceback(error)
        raise
    except Exception as error:  # transformers raises whatever it stumbled over in a folder's files
        clear_traceback(error)
        raise _to_lychee_error(error, folder) from error


def clear_traceback(error: BaseException) -> None:
    """Drop the local variables of every frame that an error passed through: they may hold a model's weights."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def part_sizes(folder: Path, dtype: Any, quantize: Quantize | None = None) -> dict[str, int]:
    """Bytes of each part of a checkpoint that stays on one device, in the model's order, without loading it."""
    import torch
    import transformers

    architecture = getattr(transformers, _require_family(folder).architecture)
    with torch.device("meta"):
        config = architecture.config_class.from_pretrained(folder, **_LOCAL_ONLY)
        model = architecture._from_config(config, dtype=dtype)
    decoder = model.model.language_model
    children = [name for name, _ in decoder.named_children() if name != "layers"]
    blocks = [f"layers.{index}" for index in range(len(decoder.layers))]
    parts = ["model.visual", *(f"model.language_model.{name}" for name in children + blocks), "lm_head"]
    return _bytes_by_part(model, parts, quantize)


def _load(
    folder: Path, dtype: str, device_map: DeviceMap, reserve_gib: float, quantize: Quantize | None
) -> tuple[VisionLanguageModel, DeviceMapPlan]:
    import torch
    import transformers
    from transformers.utils import logging as transformers_logging

    from lychee_rerank.model.cpu_threads import choose_thread_count
    from lychee_rerank.model.vlm import VisionLanguageModel

    transformers_logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **_LOCAL_ONLY)
    processor_class = getattr(transformers, _require_family(folder).image_processor)
    processor = processor_class.from_pretrained(folder, local_files_only=True)
    template = read_chat_template(folder)
    _check_template(tokenizer, template, folder)
    if dtype == "auto":
        dtype = "bfloat16" if quantize else _choose_dtype(folder, device_map, reserve_gib)
    if device_map in ("auto", "cpu"):
        device_map = _plan_device_map(folder, getattr(torch, dtype), device_map, reserve_gib, quantize)
    model = _load_weights(folder, getattr(torch, dtype), device_map, quantize)
    loaded = VisionLanguageModel(model, tokenizer, processor, template)
    loaded.enable_cuda_graphs(reserve_gib)
    if {weight.device.type for weight in model.parameters()} == {"cpu"}:
        loaded.threads = choose_thread_count(loaded)
    device_map = getattr(model, "hf_device_map", None) or {"": str(model.device)}
    summary = summarize(device_map, _bytes_by_part(model, device_map), reserve_gib)
    if quantize:
        summary = f"{summary}; {quantization.summary(quantize)}"
    summary = f"{summary}, in {dtype}"
    if loaded.threads:
        summary += f", {loaded.threads} thread{'s' * (loaded.threads > 1)}"
    logger.log(logging.WARNING if quantize else logging.INFO, "%s: %s", folder.name, summary)
    return loaded, DeviceMapPlan(device_map, summary, dtype, loaded.threads)


def _to_lychee_error(error: Exception, folder: Path) -> LycheeError:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return OutOfMemoryError("The model does not fit into the GPU's free memory; raise the reserve or free some.")
    reason = " ".join(str(error).split())[:_MAX_REASON_LENGTH]
    if isinstance(error, RuntimeError | ImportError):
        return ModelError(f"The model could not be loaded: {reason}")
    return CheckpointError(f"{folder} cannot be loaded: {reason}")


def _load_weights(folder: Path, dtype: Any, device_map: DeviceMap, quantize: Quantize | None) -> PreTrainedModel:
    import transformers

    devices = set(device_map.values()) if isinstance(device_map, Mapping) else {device_map}
    kwargs: dict[str, Any] = {}
    if quantize:
        offloaded = len(devices) > 1 and bool(devices & {"cpu", "disk"})
        kwargs["quantization_config"] = quantization.configuration(quantize, dtype, offloaded=offloaded)
    offload_folder = tempfile.mkdtemp(prefix="lychee-rerank-") if "disk" in devices else None
    if offload_folder:
        # Blocks are read from the checkpoint's own files; the folder takes only what cannot be.
        kwargs |= {"offload_folder": offload_folder, "offload_buffers": True}
    model: PreTrainedModel
    model, loading_info = getattr(transformers, _require_family(folder).architecture).from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        use_safetensors=True,
        attn_implementation="sdpa",
        ignore_mismatched_sizes=True,  # `_check_weights` raises a clearer error
        output_loading_info=True,
        **_LOCAL_ONLY,
        **kwargs,
    )
    if offload_folder:
        weakref.finalize(model, shutil.rmtree, offload_folder, ignore_errors=True)
    _check_weights(model, loading_info, folder)
    return model


def _check_weights(model: PreTrainedModel, loading_info: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that transformers filled with random numbers or skipped: scores would only look right."""
    if mismatched := sorted(loading_info["mismatched_keys"]):
        name, shape, expected = mismatched[0]
        raise _unusable(folder, f"{name} has the shape {tuple(shape)}, and config.json asks for {tuple(expected)}")
    if missing := sorted(loading_info["missing_keys"]):
        raise _unusable(folder, f"its weights do not hold {missing[0]}")
    if damaged := next((name for name, weight in _weights(model, folder) if not _is_finite(weight)), None):
        raise _unusable(folder, f"{damaged} holds values that are no numbers (NaN or infinity)")


def _weights(model: PreTrainedModel, folder: Path) -> Iterator[tuple[str, Any]]:
    """Every weight and its name; for a model on the CPU from its files, each in a mapping of its own.

    There the model's weights are mapped, and what is read of them counts as this process's memory from then on, also
    the rows of the embeddings that no prompt needs. Not on Windows, where transformers maps nothing.
    """
    if sys.platform == "win32" or {weight.device.type for weight in model.parameters()} != {"cpu"}:
        yield from model.named_parameters()
        return
    for file in (folder / shard for shard in expected_shards(folder)):
        with safe_open(file, framework="pt") as header:
            names = header.keys()
        for name in names:
            with safe_open(file, framework="pt") as weights:
                yield name, weights.get_tensor(name)


def _is_finite(weight: Any) -> bool:
    """In one pass and without a copy; True where that is not possible (Apple's GPU, weights left on the disk)."""
    import torch

    if weight.device.type not in ("cpu", "cuda") or not weight.is_floating_point() or not weight.numel():
        return True
    return all(math.isfinite(extreme) for extreme in torch.aminmax(weight.detach()))


def _check_template(tokenizer: Any, template: str | None, folder: Path) -> None:
    """Before the weights are read: one image in the messages must be one image in the prompt."""
    prompt = PromptEncoder(tokenizer, template).prompt_text(yes_no_messages(raw_query("image")))
    if (count := prompt.count(IMAGE_PAD)) != 1:
        raise _unusable(folder, f"its chat template gives one picture {count} places ({IMAGE_PAD})")


def _unusable(folder: Path, problem: str) -> CheckpointError:
    return CheckpointError(f"The checkpoint in {folder} cannot be used: {problem}.")


def _choose_dtype(folder: Path, device_map: DeviceMap, reserve_gib: float) -> str:
    import torch

    if device_map not in ("auto", "cpu") or computes_bfloat16():
        return "bfloat16"
    sizes, free_bytes = part_sizes(folder, torch.bfloat16), _free_bytes(device_map)
    return choose_dtype(plan_device_map(sizes, free_bytes, reserve_gib), sizes, free_bytes)


def _plan_device_map(
    folder: Path, dtype: Any, device_map: DeviceMap, reserve_gib: float, quantize: Quantize | None
) -> DeviceMap:
    """The planned device of each part, or simply "cpu" for all of them.

    Raises OutOfMemoryError if they do not fit there. A model that runs from the disk in part is only warned about.
    """
    free_bytes = _free_bytes(device_map)
    offloaded_sizes = part_sizes(folder, dtype)
    sizes = part_sizes(folder, dtype, quantize) if quantize else offloaded_sizes
    plan = plan_device_map(sizes, free_bytes, reserve_gib, offloaded_sizes=offloaded_sizes)
    if shortage := describe_shortage(offloaded_sizes if plan.on_cpu else sizes, free_bytes, reserve_gib):
        if plan.on_cpu:
            raise OutOfMemoryError(shortage)
        logger.warning("%s", shortage)
    logger.info("Loading %s: %s", folder.name, plan.summary)
    return plan.device_map if set(free_bytes) - {"cpu"} else "cpu"


def _free_bytes(device_map: DeviceMap) -> dict[DeviceId, int]:
    return free_memory() if device_map == "auto" else {"cpu": cpu_usage().free}


def _bytes_by_part(model: PreTrainedModel, parts: Iterable[str], quantize: Quantize | None = None) -> dict[str, int]:
    """Bytes of the weights in each part, a module's name or "" for the whole model; tied weights count once."""
    sizes = dict.fromkeys(parts, 0)
    for name, weight in model.named_parameters():
        part = max((part for part in sizes if not part or name.startswith(part + ".")), key=len, default=None)
        if part is not None:
            sizes[part] += quantization.nbytes(weight, quantize) if quantize and ".layers." in part else weight.nbytes
    return sizes


def _require_family(folder: Path) -> Family:
    family = find_family(architectures(read_json(folder / "config.json")))
    if family is None:
        raise CheckpointError(f"The model in {folder} is not of a supported family.")
    return family
