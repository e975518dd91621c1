"""Query -> chat messages, one function per scoring method. Plain data: a picture's place is the part {"type": "image"}.

The wording before the picture is the same for every picture of a ranking, so that the model reads it once (prefix in
the KV cache). Text here is never cut into control tokens: `model.py` reads `<|im_start|>` and its like inside a text
as plain characters.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from lychee_rerank.text.query import Query

Messages = list[dict[str, Any]]

# The task sentence for finding a picture by its description, from the M-BEIR instructions that lychee-rerank-mm was
# trained with.
DEFAULT_INSTRUCTION = "Find me an everyday image that matches the given caption."

# Model card of vec-ai/lychee-rerank-mm and arXiv 2510.14824; scores are only comparable with this wording to the
# letter.
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
    """The protocol that lychee-rerank-mm and the Qwen3 rerankers were trained with: is this what is asked for?"""
    parts = [f"<Instruct>: {instruction}", f"<Query>:{query.normalized}", "\n<Document>:"]
    return _messages(_YES_NO_SYSTEM, parts)


def generate_messages(query: Query, instruction: str = DEFAULT_INSTRUCTION) -> Messages:
    """Ask for a score from 0 to 10 and one short reason, in the query's language; the person's own instruction is
    added.
    """
    system, user = _GENERATE[query.language]
    own = "" if instruction.strip() in ("", DEFAULT_INSTRUCTION) else f"\n{instruction.strip()}"
    return _messages(system + own, [user.replace("{query}", query.normalized)])


def insert_image(messages: Messages, picture: Image.Image) -> Messages:
    """The same messages with the picture in its place, as `qwen_vl_utils.process_vision_info` reads them."""
    return [{**message, "content": [_filled(part, picture) for part in message["content"]]} for message in messages]


def _messages(system: str, texts: list[str]) -> Messages:
    content = [{"type": "text", "text": text} for text in texts]
    return [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": [*content, {"type": "image"}]},
    ]


def _filled(part: dict[str, Any], picture: Image.Image) -> dict[str, Any]:
    return {"type": "image", "image": picture} if part["type"] == "image" else part
