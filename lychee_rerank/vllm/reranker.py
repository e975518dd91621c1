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
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any, Literal, TypeVar

from PIL import Image

from lychee_rerank.errors import PictureProblem, ServerError
from lychee_rerank.images.load import Fit, LoadedImage
from lychee_rerank.images.prefetch import Picture, Source
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore, Method
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, Messages
from lychee_rerank.vllm.http import Connection
from lychee_rerank.weights.locate import Checkpoint

AT_ONCE = 32
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
    at_once: int = AT_ONCE,
    timeout: float = TIMEOUT,
) -> ServerReranker:
    """A reranker that scores through the vLLM server at `url` ("http://host:8000", with or without /v1).

    `at_once` pictures are in flight; one that takes `timeout` seconds is given up. A plain picture is scored right
    away, so that a server that cannot score says so here. An API key is taken from `LYCHEE_API_KEY`. Raises
    InputError for an address that is none, and ServerError.
    """
    connection = Connection(url, at_once=at_once, timeout=timeout, key=os.environ.get("LYCHEE_API_KEY", ""))
    reranker = ServerReranker(
        Server(connection),
        method="yes_no" if method == "yes_no" else "generate",
        instruction=instruction,
        fit=fit,
        normalize=normalize,
        at_once=at_once,
    )
    if method == "auto" and not reranker._writes_scores():
        reranker.method = "yes_no"
    reranker.check()
    return reranker


@dataclass(frozen=True)
class YesNo:
    """See `lychee_rerank.model.vlm.YesNo`."""

    probability: float
    answer: str


@dataclass(frozen=True)
class Written:
    """See `lychee_rerank.model.vlm.Written`."""

    answer: str
    token_ids: tuple[int, ...]
    finished: bool


class Server:
    """The model behind a connection; answers as `VisionLanguageModel` does, and to many threads at once.

    Whatever asks the server raises ServerError.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.url = connection.url

    @cached_property
    def model(self) -> str:
        """The name of what is served, of several the first."""
        return str(self._served["id"])

    @cached_property
    def _served(self) -> dict[str, Any]:
        try:
            served: dict[str, Any] = self._connection.get("/v1/models")["data"][0]
            return {"id": str(served["id"]), "root": str(served.get("root"))}
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._unfit("it names no model") from error

    @property
    def _side(self) -> int:
        """Pixels of the squares that the model cuts pictures into; the Qwen3 family is known by its name."""
        return 32 if "qwen3" in f"{self._served['id']} {self._served['root']}".lower() else 28

    def check(self) -> None:
        """Raises ServerError while the server counts as gone; costs nothing."""
        self._connection.check()

    def yes_no(self, messages: Messages, picture: Picture) -> YesNo:
        """Judge one picture with the yes/no protocol, in one request."""
        asked = _with_picture(messages, picture.image, self._side)
        found = self._log_probabilities(asked, logprob_token_ids=list(self._yes_and_no))
        for token in set(self._yes_and_no) - set(found):  # vLLM before mid-2026 tells only of the token it chose
            found |= self._log_probabilities(asked, allowed_token_ids=[token])
        if not set(self._yes_and_no) <= set(found):
            raise self._unfit("it tells no log-probabilities of tokens")
        yes, no = (found[token] for token in self._yes_and_no)
        probability = 0.5 + 0.5 * math.tanh((yes - no) / 2)  # softmax over the two, without overflow
        return YesNo(probability, "yes" if probability >= 0.5 else "no")

    def generate(
        self,
        messages: Messages,
        picture: Picture,
        *,
        stop: Callable[[str], bool],
        written: tuple[int, ...] = (),
    ) -> Written:
        """Write an answer greedily, until `stop(text so far)`, the model's own end, or the limit on its length.

        `written` are token ids of an answer begun earlier, which is carried on. At most two requests: a short one by
        the end of which the score should stand, and one for all the rest.
        """
        asked = _with_picture(messages, picture.image, self._side)
        answer = Written(self._text(written), written, False)
        for size in (_LONGEST_ANSWER,) if written else (_FIRST_PIECE, _LONGEST_ANSWER):
            answer = self._carried_on(asked, answer, stop, min(size, _LONGEST_ANSWER - len(answer.token_ids)))
            if answer.finished or stop(answer.answer):
                break
        return answer

    def prompt_text(self, messages: Messages) -> str:
        """The messages as they are sent, the picture's place as `<|image_pad|>`; the server lays them out."""
        texts = ("".join(part.get("text", "<|image_pad|>") for part in message["content"]) for message in messages)
        return "\n".join(f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True))

    def knows(self, key: str) -> bool:  # noqa: ARG002
        """Never: every request carries its pixels."""
        return False

    def look(self, picture: Picture) -> None:
        """Does nothing: what a server keeps of pictures is its own affair."""

    def forget(self) -> None:
        """Does nothing, as `look`."""

    @cached_property
    def _yes_and_no(self) -> tuple[int, int]:
        return self._token("yes"), self._token("no")

    def _token(self, word: str) -> int:
        body = {"model": self.model, "prompt": word, "add_special_tokens": False}
        ids = self._connection.post("/tokenize", body).get("tokens")
        if not isinstance(ids, list) or len(ids) != 1:
            raise self._unfit(f'its model\'s vocabulary does not hold "{word}" as one piece')
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

    def _carried_on(self, messages: Messages, begun: Written, stop: Callable[[str], bool], count: int) -> Written:
        """The answer with up to `count` more tokens, cut off behind the one at which `stop` holds."""
        choice = self._complete(_begun(messages, begun.answer), max_tokens=count, return_token_ids=True)
        text, ids = choice["message"]["content"], tuple(choice.get("token_ids") or ())
        ended = choice.get("finish_reason") == "stop"
        for place, start in enumerate(_beginnings(choice)[: len(ids)], 1):
            if text.startswith(start) and stop(begun.answer + start):
                ended, text, ids = ended and start == text, start, ids[:place]
                break
        written = begun.token_ids + ids
        return Written(begun.answer + text, written, ended or len(written) >= _LONGEST_ANSWER)

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
            raise self._unfit("its answer is no chat completion") from error
        return choice

    def _unfit(self, why: str) -> ServerError:
        return ServerError(f"The server at {self.url} cannot be used for scoring: {why}.", url=self.url)


class ServerReranker(Reranker):
    """A Reranker whose model is a server: `at_once` pictures in flight, results in the order of the pictures.

    A picture that the server did not answer for comes back with `.problem`; once the server is gone, so do all the
    pictures behind it, at once.
    """

    def __init__(
        self,
        server: Server,
        *,
        method: Method = "generate",
        instruction: str = DEFAULT_INSTRUCTION,
        fit: Fit = "crop",
        normalize: bool = True,
        at_once: int = AT_ONCE,
    ) -> None:
        checkpoint = Checkpoint(Path(server.url), server.model, "server")
        super().__init__(
            server, checkpoint=checkpoint, method=method, instruction=instruction, fit=fit, normalize=normalize
        )
        self.server = server
        self.at_once = at_once
        self._decoding = Semaphore(os.cpu_count() or 1)

    def check(self) -> None:
        """Score a plain picture. Raises ServerError where the server cannot."""
        picture = LoadedImage("probe", Image.new("RGB", (384, 384), "white"), (384, 384))
        method = self.method
        self._judged(ImageScore(0, "probe", 0.0, method), self._messages(self.query("a red circle"), method), picture)

    def look(self, image: Source) -> None:
        """Does nothing: pictures are sent with the query."""

    def _stream(self, messages: Messages, method: Method, images: Iterable[Source], fit: Fit) -> Iterator[ImageScore]:
        score = partial(self._asked, messages, method, fit)
        with closing(in_order(score, enumerate(images), at_once=self.at_once)) as results:
            yield from results

    def _asked(self, messages: Messages, method: Method, fit: Fit, numbered: tuple[int, Source]) -> ImageScore:
        start = time.perf_counter()
        index, source = numbered
        result = ImageScore(index, _name(source), 0.0, method)
        try:
            self.server.check()  # before the work of decoding
            with self._decoding:
                picture = self._prepared.picture(source, fit)
            result = replace(result, name=picture.name, notes=picture.notes, problem=picture.problem)
            if picture.problem is None:
                result = self._judged(result, messages, picture)
        except ServerError as error:
            result = replace(result, problem=PictureProblem("model_failed", detail=str(error).rstrip(".")))
        return replace(result, seconds=time.perf_counter() - start)


def in_order(work: Callable[[Item], Outcome], items: Iterable[Item], *, at_once: int) -> Generator[Outcome, None, None]:
    """`work` done on `at_once` items at a time, its results in the order of the items, which are pulled a little ahead.

    Closing it waits for nothing: the threads are daemons, and a request under way ends by itself.
    """
    slots, over = Semaphore(at_once), Event()
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
            while waiting and (waiting[0].done() or len(waiting) >= 2 * at_once):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        over.set()


def _with_picture(messages: Messages, picture: Image.Image, side: int) -> Messages:
    """The same messages in the server's words, the picture in its place.

    Its sides are rounded to whole squares of the model, as `qwen_vl_utils` rounds them: a server would go from 384
    pixels to the model's size in one step instead of two, which moved log-odds by 0.4 with the demo checkpoint.
    """
    content = io.BytesIO()
    width, height = (max(side, round(length / side) * side) for length in picture.size)
    picture.resize((width, height)).save(content, "PNG", compress_level=1)
    url = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    return [
        {**message, "content": [_plain(part) if part["type"] == "text" else image for part in message["content"]]}
        for message in messages
    ]


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Control tokens typed by a person are broken up by a space of no width: a server would obey them."""
    return {**part, "text": re.sub(r"<\|(?!(?:zh|en)\|>)(?=\w+\|>)", "<\u200b|", part["text"])}


def _begun(messages: Messages, answer: str) -> Messages:
    return [*messages, {"role": "assistant", "content": answer}] if answer else messages


def _tokens(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return (choice.get("logprobs") or {}).get("content") or []


def _beginnings(choice: dict[str, Any]) -> list[str]:
    """The text up to each of its tokens."""
    return list(accumulate(str(token["token"]) for token in _tokens(choice)))


def _name(source: Source) -> str:
    if isinstance(source, LoadedImage):
        return source.name
    return "picture" if isinstance(source, bytes) else Path(source).name
