"""Reranker: scores images one at a time against a query, ranks them, and completes answers afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Literal

from PIL import Image, ImageDraw

from lychee_rerank import results
from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.devices.memory import CacheReleaser
from lychee_rerank.errors import ModelError, OutOfMemoryError, PictureProblem
from lychee_rerank.images.load import LoadedImage, image_key
from lychee_rerank.images.prefetch import DECODING_THREADS, ImagePreprocessor, ImageSource, PreparedImage
from lychee_rerank.images.resize import Fit
from lychee_rerank.model.backend import ScoringBackend
from lychee_rerank.model.libraries import sleep_at_barriers
from lychee_rerank.model.quantization import Quantize
from lychee_rerank.results import ConditionScore, ImageScore, ScoringMethod
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION, Messages, generate_messages, yes_no_messages
from lychee_rerank.text.query import Query, normalize_query, raw_query
from lychee_rerank.text.score_parser import parse_score, score_is_complete
from lychee_rerank.weights.locate import DEMO_WARNING, Checkpoint, damaged_checkpoints, find_checkpoint

logger = logging.getLogger(__name__)

_MAX_PROBE_CHARACTERS = 60  # a model that has written no score by then does not put it first


@dataclass(frozen=True)
class ScoringOptions:
    """What can differ between two rankings by the same model.

    `method` is "generate" or "yes_no", `instruction` the task sentence, `fit` how images become squares ("crop") or
    stay whole ("whole"), `normalize` whether queries are normalized.
    """

    method: ScoringMethod = "generate"
    instruction: str = DEFAULT_INSTRUCTION
    fit: Fit = "crop"
    normalize: bool = True

    def query(self, query: str | Query) -> Query:
        """The query as the model will read it. Raises QueryError."""
        if isinstance(query, Query):
            return query
        return normalize_query(query) if self.normalize else raw_query(query)

    def messages(self, query: str | Query) -> Messages:
        """The chat messages for a query. Raises QueryError."""
        build = yes_no_messages if self.method == "yes_no" else generate_messages
        return build(self.query(query), self.instruction)


class Reranker:
    """Scores images from 0 to 10 against a query. Safe to share between threads: the model scores one image at a time.

    Every method takes the `options` of its ranking; without them it uses the reranker's own.
    """

    decoding_threads = DECODING_THREADS

    def __init__(
        self,
        backend: ScoringBackend,
        *,
        checkpoint: Checkpoint,
        options: ScoringOptions | None = None,
        device_map_plan: DeviceMapPlan | None = None,
    ) -> None:
        self._backend = backend
        self.checkpoint = checkpoint
        self.options = options or ScoringOptions()
        self.device_map_plan = device_map_plan or DeviceMapPlan({}, "")
        self._preprocessor = ImagePreprocessor(backend.has_image_features, backend.resize)
        self._backend_lock = Lock()
        self._cache_releaser = CacheReleaser()

    @classmethod
    def from_pretrained(
        cls,
        model: str = "auto",
        *,
        method: Literal["auto", "generate", "yes_no"] = "auto",
        dtype: str = "auto",
        device_map: str | dict[str, object] = "auto",
        reserve_gib: float = 1.2,
        quantize: Quantize | None = None,
        instruction: str = DEFAULT_INSTRUCTION,
        fit: Fit = "crop",
        normalize: bool = True,
    ) -> Reranker:
        """Load a checkpoint: "auto" (the best on this machine), "demo", a folder, or the hub id of a downloaded model.

        method="auto" asks the loaded model for one score, which also warms it up: if the answer holds none, "yes_no"
        is used. dtype="auto" is BF16, but float32 on a CPU without arithmetic for BF16, where that fits. On a CPU the
        number of torch's threads is chosen too, unless the environment variable OMP_NUM_THREADS is set.
        `quantize` ("8bit" or "4bit") takes less memory and changes scores.
        Raises CheckpointError and ModelError.
        """
        sleep_at_barriers()
        from lychee_rerank.model.loading import clear_traceback, load_model

        checkpoint = find_checkpoint(model)
        if checkpoint.is_demo and model == "auto":
            logger.warning("%s", " ".join((*damaged_checkpoints(), DEMO_WARNING)))
        backend, plan = load_model(
            checkpoint.path, dtype=dtype, device_map=device_map, reserve_gib=reserve_gib, quantize=quantize
        )
        options = ScoringOptions("yes_no" if method == "yes_no" else "generate", instruction, fit, normalize)
        try:
            if method == "auto" and not can_generate_score(backend):
                logger.info("%s writes no scores, so it is asked for yes or no.", checkpoint.name)
                options = replace(options, method="yes_no")
        except ModelError as error:
            clear_traceback(error)
            del backend
            raise
        return cls(backend, checkpoint=checkpoint, options=options, device_map_plan=plan)

    @property
    def method(self) -> ScoringMethod:
        return self.options.method

    @property
    def instruction(self) -> str:
        return self.options.instruction

    def prompt_text(self, query: str | Query, *, options: ScoringOptions | None = None) -> str:
        """The whole prompt as the model reads it, with `<|image_pad|>` for the image."""
        return self._backend.prompt_text((options or self.options).messages(query))

    def prepare(self, image: ImageSource, *, options: ScoringOptions | None = None) -> PreparedImage:
        """Read and decode an image ahead of `stream`, which takes the result as it is. A bad one has its `.problem`."""
        return self._preprocessor.prepare(image, (options or self.options).fit)

    def stream(
        self, query: str | Query, images: Iterable[ImageSource], *, options: ScoringOptions | None = None
    ) -> Generator[ImageScore, None, None]:
        """One result for each image, in the order given, as soon as it is scored. Takes from `images` a few ahead.

        An unusable query raises QueryError at once; an unusable image raises nothing, its result has a `.problem`.
        """
        options = options or self.options
        return self._stream(options.messages(query), images, options)

    def rank(
        self, query: str | Query, images: Iterable[ImageSource], *, options: ScoringOptions | None = None
    ) -> list[ImageScore]:
        """All results, best first; ties keep the input order, images without a score come last."""
        return results.rank(self.stream(query, images, options=options))

    def explain(
        self, query: str | Query, result: ImageScore, image: ImageSource, *, options: ScoringOptions | None = None
    ) -> ImageScore:
        """The same result with its answer completed; score and rank stay.

        Returns the result unchanged for the yes/no method and where the model fails.
        """
        options = options or self.options
        if result.method != "generate" or result.finished or result.problem is not None:
            return result
        prepared = self.prepare(image, options=options)
        if prepared.problem is not None:
            return result
        messages = replace(options, method="generate").messages(query)
        try:
            with self._backend_lock:
                output = self._backend.generate(messages, prepared, stop=lambda _: False, token_ids=result.token_ids)
        except ModelError as error:
            logger.warning("The answer about %s stays as it is: %s", result.name, error)
            return result
        return replace(result, answer=output.answer, token_ids=output.token_ids, finished=True)

    def conditions(
        self, query: str | Query, image: ImageSource, *, options: ScoringOptions | None = None
    ) -> tuple[ConditionScore, ...]:
        """The score of an image against each part of a query alone; a query of one part gives that part.

        The image's features are reused, and each part's prompt stays cached for the next image. Raises QueryError.
        """
        options = options or self.options
        prepared = self.prepare(image, options=options)

        def score(part: str) -> ConditionScore:
            (result,) = self.stream(part, [prepared], options=options)
            return ConditionScore(part, result.score, result.problem)

        return tuple(self._map_conditions(score, split_conditions(options.query(query).text)))

    def near_duplicates(
        self, content_hashes: Sequence[str], *, options: ScoringOptions | None = None
    ) -> tuple[tuple[int, ...], ...]:
        """Groups of images that are nearly the same, as positions in `content_hashes`, by their cached features."""
        keys = [image_key(content_hash, fit=(options or self.options).fit) for content_hash in content_hashes]
        with self._backend_lock:
            return self._backend.near_duplicates(keys)

    def encode_image(self, image: ImageSource, *, options: ScoringOptions | None = None) -> None:
        """Compute and cache an image's features ahead of any query. An unusable image is skipped."""
        prepared = self.prepare(image, options=options)
        if prepared.problem is None and not self._backend.has_image_features(prepared.key):
            with self._backend_lock:
                self._backend.encode_image(prepared)

    def clear_cache(self) -> None:
        """Drop cached prompts and image features."""
        with self._backend_lock:
            self._backend.clear_cache()

    def _map_conditions(
        self, score: Callable[[str], ConditionScore], conditions: Iterable[str]
    ) -> Iterable[ConditionScore]:
        return map(score, conditions)

    def _stream(
        self, messages: Messages, images: Iterable[ImageSource], options: ScoringOptions
    ) -> Generator[ImageScore, None, None]:
        prefill = partial(self._prefill, messages)
        with closing(self._preprocessor.prefetch(images, options.fit, prefill)) as prepared:
            for index, image in enumerate(prepared):
                yield self._score_image(messages, options.method, index, image)

    def _prefill(self, messages: Messages) -> None:
        try:
            with self._backend_lock:
                self._backend.prefill(messages)
        except ModelError as error:
            logger.debug("The prompt is prefilled again with the first image: %s", error)

    def _score_image(self, messages: Messages, method: ScoringMethod, index: int, image: PreparedImage) -> ImageScore:
        start = time.perf_counter()
        result = ImageScore(index, image.name, 0.0, method, notes=image.notes, problem=image.problem)
        if image.problem is None:
            with self._backend_lock:
                result = self._score_with_oom_retry(result, messages, image)
                self._release_memory(self._cache_releaser.release_throttled)
        return replace(result, seconds=time.perf_counter() - start)

    def _score_with_oom_retry(self, result: ImageScore, messages: Messages, image: PreparedImage) -> ImageScore:
        """Score an image, a second time with caches released if memory runs out. A failure becomes a problem."""
        for retry in (True, False):
            try:
                return self._score_once(result, messages, image)
            except OutOfMemoryError:
                self._release_memory(self._cache_releaser.release)
                if retry:
                    logger.warning("Out of memory at %s: releasing caches and trying once more.", image.name)
            except ModelError as error:
                return replace(result, problem=PictureProblem("model_failed", detail=str(error)))
        return replace(result, problem=PictureProblem("out_of_memory"))

    def _release_memory(self, release: Callable[[], None]) -> None:
        """Only logs a failure: a lost GPU fails here too, and the next forward pass reports it."""
        try:
            release()
        except RuntimeError as error:
            logger.warning("Memory could not be released: %s", error)

    def _score_once(self, result: ImageScore, messages: Messages, image: PreparedImage) -> ImageScore:
        if result.method == "yes_no":
            yes_no = self._backend.score_yes_no(messages, image)
            return replace(result, score=10 * yes_no.probability, probability=yes_no.probability, answer=yes_no.answer)
        output = self._backend.generate(messages, image, stop=score_is_complete)
        parsed = parse_score(output.answer)
        return replace(
            result,
            score=parsed.value,
            parsed=parsed,
            answer=output.answer,
            token_ids=output.token_ids,
            finished=output.finished,
        )


def can_generate_score(backend: ScoringBackend) -> bool:
    """Whether the model, asked for a score, puts one first. Raises what the backend raises."""
    image = Image.new("RGB", (384, 384), "white")
    ImageDraw.Draw(image).ellipse((72, 72, 312, 312), fill="red")
    output = backend.generate(
        generate_messages(normalize_query("a red circle")),
        LoadedImage("probe", image, image.size),
        stop=lambda answer: score_is_complete(answer) or len(answer) > _MAX_PROBE_CHARACTERS,
    )
    return parse_score(output.answer).tier != "default"
