"""VLLMReranker: a Reranker whose model is on a vLLM server, with many images in flight."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import Literal

from PIL import Image

from lychee_rerank.errors import PictureProblem, ServerError
from lychee_rerank.images.files import default_name
from lychee_rerank.images.load import LoadedImage
from lychee_rerank.images.prefetch import ImageSource, PreparedImage
from lychee_rerank.images.resize import Fit
from lychee_rerank.reranker import Reranker, ScoringOptions, can_generate_score
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, Messages
from lychee_rerank.vllm.backend import VLLMBackend
from lychee_rerank.vllm.http import RetryingClient
from lychee_rerank.vllm.map_ordered import map_ordered
from lychee_rerank.weights.locate import Checkpoint


def connect(
    url: str,
    *,
    method: Literal["auto", "generate", "yes_no"] = "auto",
    instruction: str = DEFAULT_INSTRUCTION,
    fit: Fit = "crop",
    normalize: bool = True,
    max_concurrency: int = 32,
    timeout: float = 120.0,
) -> VLLMReranker:
    """A reranker that scores through the vLLM server at `url` ("http://host:8000", with or without /v1).

    `max_concurrency` images are in flight; one that takes `timeout` seconds is given up. A plain image is scored right
    away, so that a server that cannot score says so now. An API key is taken from `LYCHEE_API_KEY`. Only this address
    is contacted. Raises InputError for a `url` that is no address, and ServerError.
    """
    api_key = os.environ.get("LYCHEE_API_KEY", "")
    backend = VLLMBackend(RetryingClient(url, max_concurrency=max_concurrency, timeout=timeout, api_key=api_key))
    if method == "auto":
        method = "generate" if can_generate_score(backend) else "yes_no"
    options = ScoringOptions(method, instruction, fit, normalize)
    reranker = VLLMReranker(backend, options=options, max_concurrency=max_concurrency)
    plain = LoadedImage("probe", Image.new("RGB", (384, 384), "white"), (384, 384))
    reranker._score_once(ImageScore(0, plain.name, 0.0, method), options.messages("a red circle"), plain)
    return reranker


class VLLMReranker(Reranker):
    """A Reranker whose model is on a server: `max_concurrency` images in flight, results in the order of the images.

    An image that the server gave no score for comes back with `.problem`; once the server is gone, so do all the
    remaining images, at once. `client` is the connection to it.
    """

    def __init__(self, backend: VLLMBackend, *, options: ScoringOptions, max_concurrency: int) -> None:
        self.client = backend.client
        checkpoint = Checkpoint(Path(), backend.model_name, "server", url=self.client.url)
        super().__init__(backend, checkpoint=checkpoint, options=options)
        self.max_concurrency = max_concurrency
        self.decoding_threads = os.cpu_count() or 1
        self._decode_slots = Semaphore(self.decoding_threads)

    def encode_image(self, image: ImageSource, *, options: ScoringOptions | None = None) -> None:
        """Does nothing: images are sent with the query."""

    def _map_conditions(
        self, score: Callable[[str], ConditionScore], conditions: Iterable[str]
    ) -> Iterable[ConditionScore]:
        """With all of an image in flight together."""
        return map_ordered(score, conditions, max_concurrency=self.max_concurrency)

    def _stream(
        self, messages: Messages, images: Iterable[ImageSource], options: ScoringOptions
    ) -> Generator[ImageScore, None, None]:
        score = partial(self._score_remote, messages, options)
        with closing(map_ordered(score, enumerate(images), max_concurrency=self.max_concurrency)) as results:
            yield from results

    def _score_remote(
        self, messages: Messages, options: ScoringOptions, indexed: tuple[int, ImageSource]
    ) -> ImageScore:
        start = time.perf_counter()
        index, source = indexed
        name = source.name if isinstance(source, PreparedImage) else default_name(source)
        result = ImageScore(index, name, 0.0, options.method)
        try:
            self.client.ensure_available()  # before the work of decoding
            with self._decode_slots:
                image = self._preprocessor.prepare(source, options.fit)
            result = replace(result, name=image.name, notes=image.notes, problem=image.problem)
            if image.problem is None:
                result = self._score_once(result, messages, image)
        except ServerError as error:
            result = replace(result, problem=PictureProblem("model_failed", detail=str(error).rstrip(".")))
        return replace(result, seconds=time.perf_counter() - start)
