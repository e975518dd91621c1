"""A vLLM server in the model's place: the same messages, the same scores, many pictures in flight.

`connect` gives a Reranker like any other. A picture travels as the lossless PNG of exactly the pixels that a model
here would see; yes and no are read from the log-probabilities of their two tokens in one request; answers are written
greedily.
Nothing but the address given is ever contacted: no redirect and no proxy is followed.
"""

from __future__ import annotations

import base64
import io
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any, Literal, TypeVar

from PIL import Image

from lychee_rerank.errors import PictureProblem, ServerError
from lychee_rerank.images.load import Fit, LoadedImage
from lychee_rerank.images.prefetch import ImageSource, PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.reranker import Reranker, ScoringOptions, can_generate_score
from lychee_rerank.results import ImageScore
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, Messages
from lychee_rerank.vllm.http import RetryingClient
from lychee_rerank.weights.locate import Checkpoint

MAX_CONCURRENCY = 32
TIMEOUT = 120.0
_LONGEST_ANSWER = 160  # tokens, as on this machine
_FIRST_PIECE = 12  # tokens: a score that is put first is complete by then

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def connect(
    url: str,
    *,
    method: Literal["auto", "generate", "yes_no"] = "auto",
    instruction: str = DEFAULT_INSTRUCTION,
    fit: Fit = "crop",
    normalize: bool = True,
    max_concurrency: int = MAX_CONCURRENCY,
    timeout: float = TIMEOUT,
) -> VLLMReranker:
    """A reranker that scores through the vLLM server at `url` ("http://host:8000", with or without /v1).

    `max_concurrency` pictures are in flight; one that takes `timeout` seconds is given up. A plain picture is scored right
    away, so that a server that cannot score says so here. An API key is taken from `LYCHEE_API_KEY`. Raises
    InputError for an address that is none, and ServerError.
    """
    client = RetryingClient(
        url, max_concurrency=max_concurrency, timeout=timeout, key=os.environ.get("LYCHEE_API_KEY", "")
    )
    backend = VLLMBackend(client)
    if method == "auto":
        method = "generate" if can_generate_score(backend) else "yes_no"
    options = ScoringOptions(method, instruction, fit, normalize)
    reranker = VLLMReranker(backend, options=options, max_concurrency=max_concurrency)
    reranker.check()
    return reranker


class VLLMBackend:
    """The model behind a connection; answers as `VisionLanguageModel` does, and to many threads at once.

    Whatever asks the server raises ServerError.
    """

    def __init__(self, connection: RetryingClient) -> None:
        self._connection = connection
        self.url = connection.url

    @cached_property
    def model(self) -> str:
        """The name of what is served, of several the first."""
        return str(self._model_info["id"])

    @cached_property
    def _model_info(self) -> dict[str, Any]:
        try:
            served: dict[str, Any] = self._connection.get("/v1/models")["data"][0]
            return {"id": str(served["id"]), "root": str(served.get("root"))}
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._incompatible_error("it names no model") from error

    @property
    def _patch_multiple(self) -> int:
        """Pixels of the squares that the model cuts pictures into; the Qwen3 family is known by its name."""
        return 32 if "qwen3" in f"{self._model_info['id']} {self._model_info['root']}".lower() else 28

    def check(self) -> None:
        """Raises ServerError while the server counts as gone; costs nothing."""
        self._connection.check()

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """Judge one picture with the yes/no protocol, in one request."""
        asked = _with_picture(messages, image.image, self._patch_multiple)
        found = self._log_probabilities(asked, logprob_token_ids=list(self._yes_and_no))
        for token in set(self._yes_and_no) - set(found):  # vLLM before mid-2026 tells only of the token it chose
            found |= self._log_probabilities(asked, allowed_token_ids=[token])
        if not set(self._yes_and_no) <= set(found):
            raise self._incompatible_error("it tells no log-probabilities of tokens")
        yes, no = (found[token] for token in self._yes_and_no)
        probability = 0.5 + 0.5 * math.tanh((yes - no) / 2)  # softmax over the two, without overflow
        return YesNoOutput(probability, "yes" if probability >= 0.5 else "no")

    def generate(
        self,
        messages: Messages,
        image: PreparedImage,
        *,
        stop: Callable[[str], bool],
        token_ids: tuple[int, ...] = (),
    ) -> GenerationOutput:
        """Write an answer greedily, until `stop(text so far)`, the model's own end, or the limit on its length.

        `token_ids` are those of an answer begun earlier, which is carried on. At most two requests: a short one by
        the end of which the score should stand, and one for all the rest.
        """
        asked = _with_picture(messages, image.image, self._patch_multiple)
        answer = GenerationOutput(self._text(token_ids), token_ids, False)
        for size in (_LONGEST_ANSWER,) if token_ids else (_FIRST_PIECE, _LONGEST_ANSWER):
            answer = self._continue_generation(asked, answer, stop, min(size, _LONGEST_ANSWER - len(answer.token_ids)))
            if answer.finished or stop(answer.answer):
                break
        return answer

    def prompt_text(self, messages: Messages) -> str:
        """The messages as they are sent, the picture's place as `<|image_pad|>`; the server lays them out."""
        texts = ("".join(part.get("text", "<|image_pad|>") for part in message["content"]) for message in messages)
        return "\n".join(f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True))

    def has_image_features(self, key: str) -> bool:  # noqa: ARG002
        """Never: every request carries its pixels."""
        return False

    def encode_image(self, image: PreparedImage) -> None:
        """Does nothing: what a server keeps of pictures is its own affair."""

    def clear_cache(self) -> None:
        """Does nothing, as `look`."""

    @cached_property
    def _yes_and_no(self) -> tuple[int, int]:
        return self._token("yes"), self._token("no")

    def _token(self, word: str) -> int:
        body = {"model": self.model, "prompt": word, "add_special_tokens": False}
        ids = self._connection.post("/tokenize", body).get("tokens")
        if not isinstance(ids, list) or len(ids) != 1:
            raise self._incompatible_error(f'its model\'s vocabulary does not hold "{word}" as one piece')
        return int(ids[0])

    def _text(self, ids: tuple[int, ...]) -> str:
        body = {"model": self.model, "tokens": list(ids)}
        return str(self._connection.post("/detokenize", body).get("prompt", "")) if ids else ""

    def _log_probabilities(self, messages: Messages, **asked_for: list[int]) -> dict[int, float]:
        """Those that are told of the next token, by token id."""
        choice = self._complete(messages, max_tokens=1, return_tokens_as_token_ids=True, **asked_for)
        told = [entry for token in _tokens(choice)[:1] for entry in (token, *(token.get("top_logprobs") or ()))]
        named = [(str(entry["token"]).partition("token_id:")[2], entry["logprob"]) for entry in told]
        return {int(number): float(value) for number, value in named if number}

    def _continue_generation(
        self, messages: Messages, begun: GenerationOutput, stop: Callable[[str], bool], count: int
    ) -> GenerationOutput:
        """The answer with up to `count` more tokens, cut off behind the one at which `stop` holds."""
        choice = self._complete(_append_partial(messages, begun.answer), max_tokens=count, return_token_ids=True)
        text, ids = choice["message"]["content"], tuple(choice.get("token_ids") or ())
        ended = choice.get("finish_reason") == "stop"
        for place, start in enumerate(_beginnings(choice)[: len(ids)], 1):
            if text.startswith(start) and stop(begun.answer + start):
                ended, text, ids = ended and start == text, start, ids[:place]
                break
        written = begun.token_ids + ids
        return GenerationOutput(begun.answer + text, written, ended or len(written) >= _LONGEST_ANSWER)

    def _complete(self, messages: Messages, **how: object) -> dict[str, Any]:
        """The choice in a chat completion that is decoded greedily, whatever the checkpoint's own settings are."""
        carries_on = messages[-1]["role"] == "assistant"
        greedily = {"temperature": 0, "repetition_penalty": 1, "logprobs": True}
        place = {"add_generation_prompt": not carries_on, "continue_final_message": carries_on}
        body = {"model": self.model, "messages": messages, **greedily, **place, **how}
        completion = self._connection.post("/v1/chat/completions", body)
        try:
            choice: dict[str, Any] = completion["choices"][0]
            choice["message"]["content"] = str(choice["message"].get("content") or "")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._incompatible_error("its answer is no chat completion") from error
        return choice

    def _incompatible_error(self, why: str) -> ServerError:
        return ServerError(f"The server at {self.url} cannot be used for scoring: {why}.", url=self.url)


class VLLMReranker(Reranker):
    """A Reranker whose model is a server: `max_concurrency` pictures in flight, results in the order of the pictures.

    A picture that the server did not answer for comes back with `.problem`; once the server is gone, so do all the
    pictures behind it, at once.
    """

    def __init__(
        self, backend: VLLMBackend, *, options: ScoringOptions | None = None, max_concurrency: int = MAX_CONCURRENCY
    ) -> None:
        super().__init__(backend, checkpoint=Checkpoint(Path(backend.url), backend.model, "server"), options=options)
        self.server = backend
        self.max_concurrency = max_concurrency
        self._decoding = Semaphore(os.cpu_count() or 1)

    def check(self) -> None:
        """Score a plain image. Raises ServerError where the server cannot."""
        image = LoadedImage("probe", Image.new("RGB", (384, 384), "white"), (384, 384))
        self._score_once(ImageScore(0, "probe", 0.0, self.method), self.options.messages("a red circle"), image)

    def encode_image(self, image: ImageSource, *, options: ScoringOptions | None = None) -> None:
        """Does nothing: images are sent with the query."""

    def _stream(
        self, messages: Messages, images: Iterable[ImageSource], options: ScoringOptions
    ) -> Iterator[ImageScore]:
        score = partial(self._score_remote, messages, options)
        with closing(map_ordered(score, enumerate(images), max_concurrency=self.max_concurrency)) as results:
            yield from results

    def _score_remote(
        self, messages: Messages, options: ScoringOptions, indexed: tuple[int, ImageSource]
    ) -> ImageScore:
        start = time.perf_counter()
        index, source = indexed
        result = ImageScore(index, _name(source), 0.0, options.method)
        try:
            self.server.check()  # before the work of decoding
            with self._decoding:
                image = self._preprocessor.prepare(source, options.fit)
            result = replace(result, name=image.name, notes=image.notes, problem=image.problem)
            if image.problem is None:
                result = self._score_once(result, messages, image)
        except ServerError as error:
            result = replace(result, problem=PictureProblem("model_failed", detail=str(error).rstrip(".")))
        return replace(result, seconds=time.perf_counter() - start)


def map_ordered(
    work: Callable[[Item], Outcome], items: Iterable[Item], *, max_concurrency: int
) -> Generator[Outcome, None, None]:
    """`work` done on `max_concurrency` items at a time, its results in the order of the items, which are pulled a little ahead.

    Closing it waits for nothing: the threads are daemons, and a request under way ends by itself.
    """
    slots, over = Semaphore(max_concurrency), Event()
    waiting: deque[Future[Outcome]] = deque()

    def run(item: Item, outcome: Future[Outcome]) -> None:
        with slots:
            if over.is_set():
                return
            try:
                outcome.set_result(work(item))
            except BaseException as error:  # raised again where the result is taken
                outcome.set_exception(error)

    try:
        for item in items:
            waiting.append(Future())
            Thread(target=run, args=(item, waiting[-1]), daemon=True).start()
            while waiting and (waiting[0].done() or len(waiting) >= 2 * max_concurrency):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        over.set()


def _with_picture(messages: Messages, image: Image.Image, side: int) -> Messages:
    """The same messages in the server's words, the picture in its place.

    Its sides are rounded to whole squares of the model, as `qwen_vl_utils` rounds them: a server would go from 384
    pixels to the model's size in one step instead of two, which moved log-odds by 0.4 with the demo checkpoint.
    """
    content = io.BytesIO()
    width, height = (max(side, round(length / side) * side) for length in image.size)
    image.resize((width, height)).save(content, "PNG", compress_level=1)
    url = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    image_part = {"type": "image_url", "image_url": {"url": url}}
    return [
        {**message, "content": [_plain(part) if part["type"] == "text" else image_part for part in message["content"]]}
        for message in messages
    ]


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Control tokens typed by a person are broken up by a space of no width: a server would obey them."""
    return {**part, "text": re.sub(r"<\|(?!(?:zh|en)\|>)(?=\w+\|>)", "<\u200b|", part["text"])}


def _append_partial(messages: Messages, answer: str) -> Messages:
    return [*messages, {"role": "assistant", "content": answer}] if answer else messages


def _tokens(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return (choice.get("logprobs") or {}).get("content") or []


def _beginnings(choice: dict[str, Any]) -> list[str]:
    """The text up to each of its tokens."""
    return list(accumulate(str(token["token"]) for token in _tokens(choice)))


def _name(source: ImageSource) -> str:
    if isinstance(source, LoadedImage):
        return source.name
    return "picture" if isinstance(source, bytes) else Path(source).name
