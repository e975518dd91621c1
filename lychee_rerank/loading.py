"""Checkpoint folder -> loaded model: BF16 as stored, placed on the devices there are, safetensors only, never from the
network.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lychee_rerank.errors import CheckpointError, ModelError, OutOfMemoryError
from lychee_rerank.memory import Placement, describe, free_memory
from lychee_rerank.placement import plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lychee_rerank.model import VisionLanguageModel

logger = logging.getLogger(__name__)


def load_model(
    folder: Path, *, dtype: str = "bfloat16", device_map: str | Mapping[str, Any] = "auto", reserve_gib: float = 1.2
) -> tuple[VisionLanguageModel, Placement]:
    """Load a Qwen2.5-VL checkpoint folder.

    `device_map` is "auto" (GPUs first, `reserve_gib` kept free on each, the rest on the CPU), a device, or a full map.
    Raises CheckpointError for files that cannot be used, OutOfMemoryError and ModelError for what goes wrong while
    loading.
    """
    import torch
    from transformers import AutoTokenizer, Qwen2VLImageProcessor
    from transformers.utils import logging as transformers_logging

    from lychee_rerank.model import VisionLanguageModel

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # By class, not by the name in the file: early checkpoints of the family carry a name that transformers no
        # longer knows.
        image_processor = Qwen2VLImageProcessor.from_pretrained(folder, local_files_only=True)
        model = _weights(folder, getattr(torch, dtype), device_map, reserve_gib)
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            "The model does not fit into the GPU's free memory; raise the reserve or free some."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} cannot be loaded: {error}", folder=folder) from error
    except RuntimeError as error:
        raise ModelError(f"The model could not be loaded: {error}") from error
    loaded = VisionLanguageModel(model, tokenizer, image_processor, _chat_template(folder) or tokenizer.chat_template)
    placement = describe(loaded.device_map, _sizes(model, loaded.device_map), reserve_gib)
    logger.info("%s: %s", folder.name, placement.words)
    return loaded, placement


def _weights(folder: Path, dtype: Any, device_map: str | Mapping[str, Any], reserve_gib: float) -> PreTrainedModel:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    offload: dict[str, Any] = {}
    if device_map == "auto" and not torch.cuda.is_available():
        device_map = "mps" if torch.backends.mps.is_available() else "cpu"
    elif device_map == "auto":
        planned = plan(part_sizes(folder, dtype), free_memory(), reserve_gib)
        logger.info("Loading %s: %s", folder.name, planned.words)
        device_map = planned.device_map
    if isinstance(device_map, Mapping) and "disk" in device_map.values():
        # Blocks are read from the checkpoint's own files; the folder takes only what cannot be.
        offload = {"offload_folder": tempfile.mkdtemp(prefix="lychee-rerank-"), "offload_buffers": True}
    model: PreTrainedModel = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        use_safetensors=True,
        local_files_only=True,
        attn_implementation="sdpa",
        **offload,
    )
    return model


def part_sizes(folder: Path, dtype: Any) -> dict[str, int]:
    """Bytes of each part of a checkpoint that is placed as a whole, in the model's order, without loading it."""
    import torch
    from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            AutoConfig.from_pretrained(folder, local_files_only=True), dtype=dtype
        )
    language = model.model.language_model
    parts = {"model.visual": model.model.visual}
    parts |= {f"model.language_model.{name}": part for name, part in language.named_children() if name != "layers"}
    parts |= {f"model.language_model.layers.{number}": block for number, block in enumerate(language.layers)}
    sizes = {name: sum(weight.nbytes for weight in part.parameters()) for name, part in parts.items()}
    tied = model.config.tie_word_embeddings
    return {**sizes, "lm_head": 0 if tied else model.lm_head.weight.nbytes}


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
