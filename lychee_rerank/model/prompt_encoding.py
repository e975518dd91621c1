"""Messages -> prompt text -> token ids, with special tokens only where the chat template writes them."""

from __future__ import annotations

import re
from typing import Any

from lychee_rerank.text.prompts import Messages

IMAGE_PAD = "<|image_pad|>"  # stands for the image in a rendered prompt
_ESCAPE = "\ue000"  # private use area: inside a special token that is plain text


class PromptEncoder:
    """Renders and tokenizes prompts. A special token inside a message's text, such as a typed `<|im_start|>`, is
    escaped while the prompt is rendered and reaches the model as plain text: it cannot end a turn or add an image.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None) -> None:
        self._tokenizer = tokenizer
        self._chat_template = chat_template
        self._special_token_ids = {
            token.content: token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        longest_first = sorted(self._special_token_ids, key=len, reverse=True)
        self._special_tokens = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def prompt_text(self, messages: Messages) -> str:
        """The whole prompt as the model reads it, with `<|image_pad|>` for the image."""
        return self.render_chat(messages).replace(_ESCAPE, "")

    def render_chat(self, messages: Messages) -> str:
        """The chat template over the messages, up to where the answer begins; special tokens in texts are escaped."""
        escaped = [{**message, "content": [*map(self._escape_part, message["content"])]} for message in messages]
        rendered: str = self._tokenizer.apply_chat_template(
            escaped, chat_template=self._chat_template, tokenize=False, add_generation_prompt=True
        )
        return rendered

    def escape_special_tokens(self, text: str) -> str:
        """The text with a mark after the first character of every special token, so that no pattern finds it."""
        return self._special_tokens.sub(lambda match: match[0][0] + _ESCAPE + match[0][1:], text.replace(_ESCAPE, ""))

    def encode_prompt(self, rendered: str) -> list[int]:
        """Token ids of (a part of) a rendered prompt; escaped special tokens are encoded as the plain text they are."""
        token_ids: list[int] = []
        for piece in filter(None, self._special_tokens.split(rendered)):
            if piece in self._special_token_ids:
                token_ids.append(self._special_token_ids[piece])
            else:
                text = piece.replace(_ESCAPE, "")
                token_ids += self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return token_ids

    def _escape_part(self, part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "text": self.escape_special_tokens(part["text"])} if part["type"] == "text" else part
