"""VLLMBackend: a ScoringBackend over the OpenAI-compatible API of a vLLM server.

An image is sent as a lossless PNG of exactly the pixels that the model would get on this machine.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from PIL import Image

from lychee_rerank.errors import ServerError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.text.prompts import Messages
from lychee_rerank.vllm.http import RetryingClient

_MAX_NEW_TOKENS = 160  # as on this machine
_SCORE_MAX_TOKENS = 12  # a score that is put first is complete by then


class VLLMBackend:
    """A model that a server has loaded. May be used by many threads; whatever sends a request raises ServerError."""

    def __init__(self, client: RetryingClient) -> None:
        self.client = client

    @property
    def model_name(self) -> str:
        """The name under which the model is served; of several, the first."""
        return self._model_info["id"]

    @cached_property
    def _model_info(self) -> dict[str, str]:
        try:
            model = self.client.get("/v1/models")["data"][0]
            return {"id": str(model["id"]), "root": str(model.get("root"))}
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._incompatible_error("it names no model") from error

    @property
    def _patch_multiple(self) -> int:
        """Pixels that image sides are multiples of: patch size x merge size. The Qwen3 family is known by its name."""
        return 32 if "qwen3" in f"{self._model_info['id']} {self._model_info['root']}".lower() else 28

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """The probability of "yes" with the yes/no protocol, in one request."""
        yes, no = self._yes_no_logprobs(_to_chat(messages, image.image, self._patch_multiple))
        probability = 0.5 + 0.5 * math.tanh((yes - no) / 2)  # softmax over the two, without overflow
        return YesNoOutput(probability, "yes" if probability >= 0.5 else "no")

    def generate(
        self, messages: Messages, image: PreparedImage, *, stop: Callable[[str], bool], token_ids: tuple[int, ...] = ()
    ) -> GenerationOutput:
        """A greedy answer, until `stop(answer so far)`, the model's own end, or the limit on its length.

        `token_ids` are those of an earlier answer, which is continued. At most two requests: a short one that is
        enough for a score, and one for all the rest.
        """
        chat = _to_chat(messages, image.image, self._patch_multiple)
        output = GenerationOutput(self._detokenize(token_ids), token_ids, False)
        for limit in (_MAX_NEW_TOKENS,) if token_ids else (_SCORE_MAX_TOKENS, _MAX_NEW_TOKENS):
            max_tokens = min(limit, _MAX_NEW_TOKENS - len(output.token_ids))
            output = self._continue_generation(chat, output, stop, max_tokens)
            if output.finished or stop(output.answer):
                break
        return output

    def prompt_text(self, messages: Messages) -> str:
        """The messages as sent, the image as `<|image_pad|>`; the server applies its chat template to them."""
        texts = ("".join(part.get("text", "<|image_pad|>") for part in message["content"]) for message in messages)
        return "\n".join(f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True))

    def prefill(self, messages: Messages) -> None:
        """Does nothing: a server keeps prompts by itself."""

    def has_image_features(self, key: str) -> bool:  # noqa: ARG002
        """Never: every request carries its pixels."""
        return False

    def resize(self, image: Image.Image) -> Image.Image:
        """Unchanged: that is part of writing a request, of which several are written at once."""
        return image

    def encode_image(self, image: PreparedImage) -> None:
        """Does nothing: a server caches image features by itself."""

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        """None: a server returns no image features."""
        return ()

    def clear_cache(self) -> None:
        """Does nothing, as `encode_image`."""

    def _yes_no_logprobs(self, chat: Messages) -> tuple[float, float]:
        """Log-probabilities of "yes" and "no" as the next token.

        `logprob_token_ids` asks vLLM for those of given tokens, however unlikely they are (vllm-project/vllm#43463,
        mid-2026). An older server ignores it and reports only the token it chose; there every missing token is made the
        only one allowed, which leaves its log-probability as it was (`logprobs_mode` "raw_logprobs", the default).
        """
        token_ids = self._yes_no_token_ids
        logprobs = self._next_token_logprobs(chat, logprob_token_ids=list(token_ids))
        for token_id in set(token_ids) - set(logprobs):
            logprobs |= self._next_token_logprobs(chat, allowed_token_ids=[token_id])
        if not set(token_ids) <= set(logprobs):
            raise self._incompatible_error("it tells no log-probabilities of tokens")
        return logprobs[token_ids[0]], logprobs[token_ids[1]]

    def _next_token_logprobs(self, chat: Messages, **sampling_params: list[int]) -> dict[int, float]:
        """Log-probabilities that are reported for the next token, by token id.

        With `return_tokens_as_token_ids` (an extra parameter of vLLM's chat completions) a token is written as
        "token_id:9693" and not as its text, which several tokens can share.
        """
        choice = self._chat_completion(chat, "", max_tokens=1, return_tokens_as_token_ids=True, **sampling_params)
        chosen = _generated_tokens(choice)[:1]
        alternatives = [entry for token in chosen for entry in token.get("top_logprobs") or ()]
        logprobs = [
            (str(entry["token"]).partition("token_id:")[2], entry["logprob"]) for entry in (*chosen, *alternatives)
        ]
        return {int(token_id): float(logprob) for token_id, logprob in logprobs if token_id}

    @cached_property
    def _yes_no_token_ids(self) -> tuple[int, int]:
        return self._token_id("yes"), self._token_id("no")

    def _token_id(self, word: str) -> int:
        body = {"model": self.model_name, "prompt": word, "add_special_tokens": False}
        ids = self.client.post("/tokenize", body).get("tokens")
        if not isinstance(ids, list) or len(ids) != 1:
            raise self._incompatible_error(f'its model\'s vocabulary does not hold "{word}" as one piece')
        return int(ids[0])

    def _detokenize(self, token_ids: tuple[int, ...]) -> str:
        body = {"model": self.model_name, "tokens": list(token_ids)}
        return str(self.client.post("/detokenize", body).get("prompt", "")) if token_ids else ""

    def _continue_generation(
        self, chat: Messages, partial: GenerationOutput, stop: Callable[[str], bool], max_tokens: int
    ) -> GenerationOutput:
        """`partial` with up to `max_tokens` more tokens, cut after the first one at which `stop` holds."""
        choice = self._chat_completion(chat, partial.answer, max_tokens=max_tokens, return_token_ids=True)
        text, token_ids = choice["message"]["content"], tuple(choice.get("token_ids") or ())
        ended = choice.get("finish_reason") == "stop"
        prefixes = accumulate(str(token["token"]) for token in _generated_tokens(choice)[: len(token_ids)])
        for length, prefix in enumerate(prefixes, 1):
            if text.startswith(prefix) and stop(partial.answer + prefix):
                ended, text, token_ids = ended and prefix == text, prefix, token_ids[:length]
                break
        token_ids = partial.token_ids + token_ids
        return GenerationOutput(partial.answer + text, token_ids, ended or len(token_ids) >= _MAX_NEW_TOKENS)

    def _chat_completion(self, chat: Messages, answer: str, /, **params: object) -> dict[str, Any]:
        """The first choice of a greedy chat completion that continues `answer`."""
        greedy = {"temperature": 0, "repetition_penalty": 1, "logprobs": True}
        template = {"add_generation_prompt": not answer, "continue_final_message": bool(answer)}
        messages = [*chat, {"role": "assistant", "content": answer}] if answer else chat
        body = {"model": self.model_name, "messages": messages, **greedy, **template, **params}
        completion = self.client.post("/v1/chat/completions", body)
        try:
            choice: dict[str, Any] = completion["choices"][0]
            choice["message"]["content"] = str(choice["message"].get("content") or "")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._incompatible_error("its answer is no chat completion") from error
        return choice

    def _incompatible_error(self, reason: str) -> ServerError:
        return ServerError(f"The server at {self.client.url} cannot be used for scoring: {reason}.")


def _to_chat(messages: Messages, image: Image.Image, multiple: int) -> Messages:
    """The messages of a chat completion, with the image as a PNG and special tokens in texts broken up.

    The image's sides are rounded to multiples of `multiple` pixels, as `qwen_vl_utils` does: a server would go from 384
    pixels to the model's size in one step instead of two, which moved log-odds by 0.4 with the demo checkpoint.
    """
    png = io.BytesIO()
    width, height = (max(multiple, round(length / multiple) * multiple) for length in image.size)
    image.resize((width, height)).save(png, "PNG", compress_level=1)
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    image_part = {"type": "image_url", "image_url": {"url": url}}

    def convert(part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "text": _break_special_tokens(part["text"])} if part["type"] == "text" else image_part

    return [{**message, "content": [convert(part) for part in message["content"]]} for message in messages]


def _break_special_tokens(text: str) -> str:
    """Put a zero-width space into what the server would read as control tokens; <|zh|> and <|en|> are none to it."""
    return re.sub(r"<\|(?!(?:zh|en)\|>)(?=\w+\|>)", "<\u200b|", text)


def _generated_tokens(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a generated token: "token", "logprob" and "top_logprobs"."""
    return (choice.get("logprobs") or {}).get("content") or []
