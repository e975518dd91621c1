"""A query becomes chat messages, one function per scoring method; {"type": "image"} marks where the image goes.

The wording before the image is the same for every image of a ranking, so the model reads it once and keeps it in the
KV cache. Special tokens in a text, such as `<|im_start|>`, reach the model as plain characters (model/prompt_encoding).
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from lychee_rerank.text.query import Query

Messages = list[dict[str, Any]]

# The task sentence of text-to-image search among the M-BEIR instructions that lychee-rerank-mm was trained with.
DEFAULT_INSTRUCTION = "Find me an everyday image that matches the given caption."

# Model card of vec-ai/lychee-rerank-mm and arXiv 2510.14824. Any other wording gives scores that cannot be compared.
_YES_NO_SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
_GENERATE = {
    "zh": (
        "给图片与描述的相关程度打分，从0到10，保留一位小数。先写分数，再用一句话说明理由，格式为：得分：X.X分。理由：……",
        "描述：{query}\n图片：",
    ),
    "en": (
        "Rate how well the picture matches the description, from 0 to 10 with one decimal. Give the score first, "
        "then one short reason, in the form: Score: X.X. Reason: ...",
        "Description: {query}\nPicture: ",
    ),
}


def yes_no_messages(query: Query, instruction: str = DEFAULT_INSTRUCTION) -> Messages:
    """The protocol that lychee-rerank-mm and the Qwen3 rerankers were trained with: the next token is yes or no."""
    return _messages(_YES_NO_SYSTEM, f"<Instruct>: {instruction}", f"<Query>:{query.normalized}", "\n<Document>:")


def generate_messages(query: Query, instruction: str = DEFAULT_INSTRUCTION) -> Messages:
    """Asks for a score from 0 to 10 and one short reason, in the query's language. An `instruction` other than the
    default is added.
    """
    system, user = _GENERATE[query.language]
    instruction = instruction.strip()
    if instruction not in ("", DEFAULT_INSTRUCTION):
        system = f"{system}\n{instruction}"
    return _messages(system, user.replace("{query}", query.normalized))


def insert_image(messages: Messages, image: Image.Image) -> Messages:
    """The messages with the image in place, in the form that `qwen_vl_utils.process_vision_info` reads."""
    return [{**message, "content": [_fill_part(part, image) for part in message["content"]]} for message in messages]


def _messages(system: str, *texts: str) -> Messages:
    return [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": [*({"type": "text", "text": text} for text in texts), {"type": "image"}]},
    ]


def _fill_part(part: dict[str, Any], image: Image.Image) -> dict[str, Any]:
    return {**part, "image": image} if part["type"] == "image" else part
