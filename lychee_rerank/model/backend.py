"""ScoringBackend: what a Reranker asks of a model, on this machine or behind a server, and the two outputs it gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.text.prompts import Messages


@dataclass(frozen=True)
class YesNoOutput:
    """`probability` of "yes" among yes and no (softmax over their two logits), and the more likely word as `answer`."""

    probability: float
    answer: str


@dataclass(frozen=True)
class GenerationOutput:
    """The answer so far, its token ids, and whether it is `finished`: the model has ended it, or it is at its limit."""

    answer: str
    token_ids: tuple[int, ...]
    finished: bool


class ScoringBackend(Protocol):
    """A model that scores one image at a time. Every method may raise a LycheeError."""

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """The probability of "yes" with the yes/no protocol."""

    def generate(
        self,
        messages: Messages,
        image: PreparedImage,
        *,
        stop: Callable[[str], bool],
        token_ids: tuple[int, ...] = (),
    ) -> GenerationOutput:
        """A greedy answer, until `stop(answer so far)`, the model's own end, or the limit on its length.

        `token_ids` are those of an earlier answer, which is continued as if it had been generated in one go.
        """

    def prefill(self, messages: Messages) -> None:
        """Compute what does not depend on the image, while the first one is decoded."""

    def has_image_features(self, key: str) -> bool:
        """Whether the features of this image (`LoadedImage.key`) are cached, so that its pixels are not needed."""

    def resize(self, image: Image.Image) -> Image.Image:
        """An image in the size that the model takes; called in several threads, ahead of scoring."""

    def encode_image(self, image: PreparedImage) -> None:
        """Compute and cache an image's features ahead of any query."""

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Groups of two or more images that are nearly the same, as positions in `keys` (`LoadedImage.key`), in order.

        An image whose features are not cached is in no group.
        """

    def clear_cache(self) -> None:
        """Drop cached prompts and image features."""

    def prompt_text(self, messages: Messages) -> str:
        """The whole prompt as the model reads it, with `<|image_pad|>` for the image."""
