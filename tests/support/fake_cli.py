"""The command line with a stand-in for the model: a image's score is its brightness, so the order is known.

Run as a program it is `lychee-rerank` itself, made slow by LYCHEE_TEST_DELAY (seconds a image) so that a test can
kill it half-way; each image scored is written down in the file LYCHEE_TEST_SCORED.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from PIL import ImageStat

from lychee_rerank.cli import app
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.text.prompts import Messages
from lychee_rerank.weights.locate import Checkpoint


class BrightnessJudge:
    """A model that likes bright pictures, or dark ones where the query says "dark"."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored: list[str] = []

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> SimpleNamespace:
        time.sleep(self.delay)
        self.scored.append(image.name)
        if "LYCHEE_TEST_SCORED" in os.environ:
            with Path(os.environ["LYCHEE_TEST_SCORED"]).open("a") as file:
                file.write(image.name + "\n")
        brightness = ImageStat.Stat(image.image.convert("L")).mean[0] / 255
        likes_dark = "dark" in self.prompt_text(messages)
        return SimpleNamespace(probability=1 - brightness if likes_dark else brightness, answer="yes")

    def generate(
        self, messages: Messages, image: PreparedImage, *, stop: Callable[[str], bool], token_ids: tuple[int, ...] = ()
    ) -> SimpleNamespace:
        raise NotImplementedError("the stand-in answers yes or no only")

    def has_image_features(self, key: str) -> bool:  # noqa: ARG002
        return False

    def encode_image(self, image: PreparedImage) -> None:
        """Keeps nothing of a image."""

    def clear_cache(self) -> None:
        """Has nothing to forget."""

    def prompt_text(self, messages: Messages) -> str:
        return repr(messages)


def brightness_reranker(judge: BrightnessJudge) -> Reranker:
    checkpoint = Checkpoint(Path(__file__).parent, "brightness", "argument")
    return Reranker(judge, checkpoint=checkpoint, options=ScoringOptions("yes_no"))


if __name__ == "__main__":
    slow = brightness_reranker(BrightnessJudge(delay=float(os.environ.get("LYCHEE_TEST_DELAY", "0"))))
    with patch("lychee_rerank.cli.rank.open_reranker", return_value=slow):
        app()
