"""Reranker: scores pictures one at a time against a query, ranks them, and carries answers on.

The model behind it is anything with the methods of `Judge`: a `VisionLanguageModel` on this machine, a server, or a
test's stand-in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Literal, Protocol

from PIL import Image, ImageDraw

from lychee_rerank import results
from lychee_rerank.devices.memory import Placement, Releaser
from lychee_rerank.errors import ModelError, OutOfMemoryError, PictureProblem
from lychee_rerank.images.load import Fit, LoadedImage
from lychee_rerank.images.prefetch import Picture, Preparer, Source
from lychee_rerank.model.quantization import Quantize
from lychee_rerank.results import ImageScore, Method
from lychee_rerank.text import prompts
from lychee_rerank.text.query import Query, as_typed, normalize_query
from lychee_rerank.text.score_parser import parse_score, score_is_complete
from lychee_rerank.weights.locate import Checkpoint, find_checkpoint

logger = logging.getLogger(__name__)


class YesNoAnswer(Protocol):
    """See `lychee_rerank.model.vlm.YesNo`."""

    @property
    def probability(self) -> float: ...
    @property
    def answer(self) -> str: ...


class WrittenAnswer(Protocol):
    """See `lychee_rerank.model.vlm.Written`."""

    @property
    def answer(self) -> str: ...
    @property
    def token_ids(self) -> tuple[int, ...]: ...
    @property
    def finished(self) -> bool: ...


class Judge(Protocol):
    """What the engine asks of a model; `lychee_rerank.model.vlm.VisionLanguageModel` says what each method promises."""

    def yes_no(self, messages: prompts.Messages, picture: Picture) -> YesNoAnswer: ...
    def generate(
        self,
        messages: prompts.Messages,
        picture: Picture,
        *,
        stop: Callable[[str], bool],
        written: tuple[int, ...] = (),
    ) -> WrittenAnswer: ...
    def knows(self, key: str) -> bool: ...
    def look(self, picture: Picture) -> None: ...
    def forget(self) -> None: ...
    def prompt_text(self, messages: prompts.Messages) -> str: ...


class Reranker:
    """Scores pictures from 0 to 10 against a query. Safe to share between threads: the model answers one picture at a
    time.

    `method` is "generate" or "yes_no", `instruction` the task sentence, `fit` how pictures are fitted ("crop" or
    "whole"), `normalize` whether queries are normalised; they may be changed between rankings and do not touch one
    that is running.
    """

    def __init__(
        self,
        model: Judge,
        *,
        checkpoint: Checkpoint,
        method: Method = "generate",
        instruction: str = prompts.DEFAULT_INSTRUCTION,
        fit: Fit = "crop",
        normalize: bool = True,
        placement: Placement | None = None,
    ) -> None:
        self._model = model
        self.checkpoint = checkpoint
        self.method: Method = method
        self.instruction = instruction
        self.fit: Fit = fit
        self.normalize = normalize
        self.placement = placement or Placement({}, "")
        self._prepared = Preparer(model.knows)
        self._busy = Lock()
        self._memory = Releaser()

    @classmethod
    def from_pretrained(
        cls,
        model: str = "auto",
        *,
        method: Literal["auto", "generate", "yes_no"] = "auto",
        dtype: str = "bfloat16",
        device_map: str | dict[str, object] = "auto",
        reserve_gib: float = 1.2,
        quantize: Quantize | None = None,
        instruction: str = prompts.DEFAULT_INSTRUCTION,
        fit: Fit = "crop",
        normalize: bool = True,
    ) -> Reranker:
        """Load a checkpoint: "auto" (the best on this machine), "demo", a folder, or a hub id that is already here.

        method="auto" asks the loaded model for one score right away, which also warms it up: if it writes none, it
        only speaks yes/no, and "yes_no" is used. `quantize` ("8bit" or "4bit") takes less memory and changes scores.
        Raises CheckpointError and ModelError.
        """
        from lychee_rerank.model.loading import let_go, load_model

        checkpoint = find_checkpoint(model)
        loaded, placement = load_model(
            checkpoint.path, dtype=dtype, device_map=device_map, reserve_gib=reserve_gib, quantize=quantize
        )
        reranker = cls(
            loaded,
            checkpoint=checkpoint,
            method="yes_no" if method == "yes_no" else "generate",
            instruction=instruction,
            fit=fit,
            normalize=normalize,
            placement=placement,
        )
        try:
            if method == "auto" and not reranker._writes_scores():
                logger.info("%s writes no scores, so it is asked for yes or no.", checkpoint.name)
                reranker.method = "yes_no"
        except ModelError as error:
            let_go(error)
            del loaded, reranker
            raise
        return reranker

    def query(self, query: str | Query) -> Query:
        """What is typed as it will be read, following `normalize`. Raises QueryError."""
        if isinstance(query, Query):
            return query
        return normalize_query(query) if self.normalize else as_typed(query)

    def prompt_text(self, query: str | Query) -> str:
        """The whole prompt as the model reads it, the picture's place as `<|image_pad|>`."""
        return self._model.prompt_text(self._messages(self.query(query), self.method))

    def stream(self, query: str | Query, images: Iterable[Source]) -> Iterator[ImageScore]:
        """One result a picture, in the order given, each as soon as it is scored. Pulls from `images` only a little
        ahead.

        The query is checked at once (QueryError), pictures never raise: a bad one comes back with `.problem`.
        """
        messages, method = self._messages(self.query(query), self.method), self.method
        return self._stream(messages, method, images, self.fit)

    def rank(self, query: str | Query, images: Iterable[Source]) -> list[ImageScore]:
        """All results, best first; ties keep the input order, pictures without a score come last."""
        return results.rank(self.stream(query, images))

    def explain(self, query: str | Query, result: ImageScore, image: Source) -> ImageScore:
        """The same result with its answer carried on to the end; score and place stay. Nothing to do for yes/no, and
        nothing changes where the model fails.
        """
        if result.method != "generate" or result.finished or result.problem is not None:
            return result
        picture = self._prepared.picture(image, self.fit)
        if picture.problem is not None:
            return result
        messages = self._messages(self.query(query), "generate")
        try:
            with self._busy:
                written = self._model.generate(messages, picture, stop=_never, written=result.token_ids)
        except ModelError as error:
            logger.warning("The answer about %s stays as it is: %s", result.name, error)
            return result
        return replace(result, answer=written.answer, token_ids=written.token_ids, finished=True)

    def look(self, image: Source) -> None:
        """Prepare and see a picture ahead of any query, so that its score comes sooner. A bad one is left."""
        picture = self._prepared.picture(image, self.fit)
        if picture.problem is None and not self._model.knows(picture.key):
            with self._busy:
                self._model.look(picture)

    def forget(self) -> None:
        """Drop what is kept of pictures and prompts."""
        with self._busy:
            self._model.forget()

    def _stream(
        self, messages: prompts.Messages, method: Method, images: Iterable[Source], fit: Fit
    ) -> Iterator[ImageScore]:
        with self._prepared.ahead(images, fit) as pictures:
            for index, picture in enumerate(pictures):
                yield self._scored(messages, method, index, picture)

    def _scored(self, messages: prompts.Messages, method: Method, index: int, picture: Picture) -> ImageScore:
        start = time.perf_counter()
        result = ImageScore(index, picture.name, 0.0, method, notes=picture.notes, problem=picture.problem)
        if picture.problem is None:
            with self._busy:
                result = self._survived(result, messages, picture)
                self._give_back(self._memory.between_pictures)
        return replace(result, seconds=time.perf_counter() - start)

    def _survived(self, result: ImageScore, messages: prompts.Messages, picture: Picture) -> ImageScore:
        """The judged result; out of memory is tried once more after giving back, and no failure ends the run."""
        try:
            return self._judged(result, messages, picture)
        except OutOfMemoryError:
            logger.warning("Out of memory at %s: giving back and trying once more.", picture.name)
            self._give_back(self._memory.now)
        except ModelError as error:
            return replace(result, problem=PictureProblem("model_failed", detail=str(error)))
        try:
            return self._judged(result, messages, picture)
        except OutOfMemoryError:
            self._give_back(self._memory.now)
            return replace(result, problem=PictureProblem("out_of_memory"))
        except ModelError as error:
            return replace(result, problem=PictureProblem("model_failed", detail=str(error)))

    def _give_back(self, release: Callable[[], None]) -> None:
        """A GPU that was lost refuses this too; what is asked of the model next will say so."""
        try:
            release()
        except RuntimeError as error:
            logger.warning("Memory could not be given back: %s", error)

    def _judged(self, result: ImageScore, messages: prompts.Messages, picture: Picture) -> ImageScore:
        if result.method == "yes_no":
            said = self._model.yes_no(messages, picture)
            return replace(result, score=10 * said.probability, probability=said.probability, answer=said.answer)
        written = self._model.generate(messages, picture, stop=score_is_complete)
        parsed = parse_score(written.answer)
        return replace(
            result,
            score=parsed.value,
            parsed=parsed,
            answer=written.answer,
            token_ids=written.token_ids,
            finished=written.finished,
        )

    def _messages(self, query: Query, method: Method) -> prompts.Messages:
        build = prompts.yes_no_messages if method == "yes_no" else prompts.generate_messages
        return build(query, self.instruction)

    def _writes_scores(self) -> bool:
        picture = LoadedImage("probe", _probe_picture(), (384, 384))
        messages = self._messages(normalize_query("a red circle"), "generate")
        enough = 60  # characters: a model that has not come to a score by then does not put it first
        stop: Callable[[str], bool] = lambda answer: score_is_complete(answer) or len(answer) > enough  # noqa: E731
        written = self._model.generate(messages, picture, stop=stop)
        return parse_score(written.answer).tier != "default"


def _never(_answer: str) -> bool:
    return False


def _probe_picture() -> Image.Image:
    """A red disc on white: something plain to ask a freshly loaded model about."""
    picture = Image.new("RGB", (384, 384), "white")
    ImageDraw.Draw(picture).ellipse((72, 72, 312, 312), fill="red")
    return picture
