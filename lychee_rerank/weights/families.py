"""The families of checkpoints that can be loaded, one row each; a new family is a new row. Plain data.

All of them are asked in the same words: lychee-rerank-mm and the Qwen3-VL rerankers were trained with the same system
sentence and the same parts of the user's turn (`prompts.yes_no_messages`), and are read off the rows of lm_head for
yes and no.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """`architecture` is what config.json names and the model's class in transformers, `model_type` its other name
    there, `image_processor` the class that cuts its pictures into patches, `published` the hub ids of rerankers known
    to be of this family.

    `vision` is how the vision tower sees: "windows", most blocks looking at a part of the picture each, or "whole",
    every block looking at all of it, with learned places that are stretched over the picture.
    """

    title: str
    architecture: str
    model_type: str
    image_processor: str
    vision: Literal["windows", "whole"]
    published: tuple[str, ...]


FAMILIES = (
    Family(
        "Qwen2.5-VL",  # multiples of 28 pixels
        architecture="Qwen2_5_VLForConditionalGeneration",
        model_type="qwen2_5_vl",
        # By class, not by the name in the file: early checkpoints carry a name that transformers no longer knows.
        image_processor="Qwen2VLImageProcessor",
        vision="windows",
        published=("vec-ai/lychee-rerank-mm",),
    ),
    Family(
        "Qwen3-VL",  # multiples of 32 pixels; what early vision blocks saw is added behind early decoder blocks
        architecture="Qwen3VLForConditionalGeneration",
        model_type="qwen3_vl",
        image_processor="Qwen2VLImageProcessor",
        vision="whole",
        published=("Qwen/Qwen3-VL-Reranker-2B", "Qwen/Qwen3-VL-Reranker-8B"),
    ),
)
KNOWN_RERANKERS = tuple(name for family in FAMILIES for name in family.published)


def find_family(architectures: Collection[str]) -> Family | None:
    """The family that one of these architectures belongs to."""
    return next((family for family in FAMILIES if family.architecture in architectures), None)


def architectures(config: Mapping[str, Any]) -> list[str]:
    """What a config.json says that it describes."""
    named = config.get("architectures") or []
    return [str(each) for each in (named if isinstance(named, list) else [named])]
