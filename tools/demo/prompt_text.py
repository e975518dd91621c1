"""The app's own prompts as plain text, split at the image, so that the demo checkpoint learns exactly what it will be
asked.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Template

from lychee_rerank.text.prompts import Messages, generate_messages, yes_no_messages
from lychee_rerank.text.query import Query
from tools.demo.export import CHAT_TEMPLATE

# The words of prompts, questions and answers: each becomes one token.
PROMPT_WORDS = tuple(
    """
    yes no Judge whether the Document meets the requirements based on the Query and the Instruct provided Note that
    the answer can only be Instruct Query Document system user assistant Find an image that matches the given text
    Given a search query retrieve relevant candidates that answer the query Find me an everyday image that matches the
    given caption Retrieve images relevant to it Score Reason rate how well this picture from to with one decimal
    place then give short reason relevance first in form of and for it shows on a an as asked not what was only part
    of background with in cute icon photo picture image the
    得分 分 理由 图中是 背景 背景是 颜色是 符合描述 只符合一部分 不符合描述 的 图片 照片 一张 找 可爱的 图标 一个
    上的 和 请 给 这张 图片 与 描述 查询 的 相关性 打分 到 保留 一位 小数 先 写 再 用 一句话 说明 格式 相关 程度 评分
    为 先写 得分
    """.split()
)


def prompt_parts(query: str, kind: str, *, short: bool = False) -> tuple[str, str]:
    """The text before and after the image. `kind` is "yes_no", "generate_zh" or "generate_en"; `short` leaves out the
    instructions, for the start of training.
    """
    before, after = _template(kind)
    if short:
        before = "<|im_start|>user\n<Query>:\0\n<Document>:<|vision_start|>"
    return before.replace("\0", query), after


@cache
def _template(kind: str) -> tuple[str, str]:
    language = kind.removeprefix("generate_") if kind != "yes_no" else "zh"
    query = Query("\0", "\0", ("\0",), (language,))
    messages: Messages = yes_no_messages(query) if kind == "yes_no" else generate_messages(query)
    text = Template(CHAT_TEMPLATE).render(messages=messages, add_generation_prompt=True)
    before, after = text.split("<|image_pad|>")
    return before, after
