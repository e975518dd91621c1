"""The families of checkpoints that can be loaded, one row each; a new family is a new row.

All are prompted in the same words: lychee-rerank-mm and the Qwen3-VL rerankers were trained with the same system
sentence and the same parts of the user's turn (`prompts.yes_no_messages`), and score by the rows of lm_head for yes and
no.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """architecture: as config.json has it, and the model's class in transformers. model_type: its other name there.
    image_processor: the class that cuts images into patches. published: hub ids of known rerankers of this family.
    vision: "windows", most blocks of the vision tower attend within a part of the image, or "whole", every block
    attends to all of it, with learned position embeddings interpolated to its size.
    """

    title: str
    architecture: str
    model_type: str
    image_processor: str
    vision: Literal["windows", "whole"]
    published: tuple[str, ...]


FAMILIES = (
    Family(
        "Qwen2.5-VL",  # image sides are multiples of 28 pixels
        architecture="Qwen2_5_VLForConditionalGeneration",
        model_type="qwen2_5_vl",
        # By class, not by the name in the file: early checkpoints carry a name that transformers has dropped.
        image_processor="Qwen2VLImageProcessor",
        vision="windows",
        published=("vec-ai/lychee-rerank-mm",),
    ),
    Family(
        "Qwen3-VL",  # multiples of 32 pixels; features of early vision blocks are added after early decoder blocks
        architecture="Qwen3VLForConditionalGeneration",
        model_type="qwen3_vl",
        image_processor="Qwen2VLImageProcessor",
        vision="whole",
        published=("Qwen/Qwen3-VL-Reranker-2B", "Qwen/Qwen3-VL-Reranker-8B"),
    ),
)
KNOWN_RERANKERS = tuple(repo for family in FAMILIES for repo in family.published)


def find_family(architectures: Collection[str]) -> Family | None:
    """The family that one of these architectures belongs to."""
    return next((family for family in FAMILIES if family.architecture in architectures), None)


def architectures(config: Mapping[str, Any]) -> list[str]:
    """The architectures that a config.json lists, whatever their type there."""
    value = config.get("architectures") or []
    return [str(entry) for entry in (value if isinstance(value, list) else [value])]
