"""The command line with a stand-in for the model: a picture's score is its brightness, so the order is known.

Run as a program it is `lychee-rerank` itself, made slow by LYCHEE_TEST_DELAY (seconds a picture) so that a test can
kill it half-way; each picture scored is written down in the file LYCHEE_TEST_SCORED.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from PIL import Image, ImageStat

from lychee_rerank.cli import app
from lychee_rerank.errors import PictureProblem
from lychee_rerank.query import Query
from lychee_rerank.results import ImageScore


@dataclass
class BrightnessReranker:
    """Has of `Reranker` what the command line uses."""

    delay: float = 0.0
    scored: list[str] = field(default_factory=list)
    method: str = "yes_no"
    fit: str = "crop"
    instruction: str = "Find it."
    checkpoint: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(name="brightness", path=Path(__file__).parent)
    )

    def prompt_text(self, query: Query) -> str:
        return f"{self.instruction} {query.normalized}"

    def stream(self, query: Query, images: Iterable[str]) -> Iterator[ImageScore]:
        for index, path in enumerate(images):
            yield self._score(query, index, path)

    def _score(self, query: Query, index: int, path: str) -> ImageScore:
        problem = brightness = None
        try:
            with Image.open(path) as picture:
                brightness = ImageStat.Stat(picture.convert("L")).mean[0] / 255
        except FileNotFoundError:
            problem = PictureProblem("not_found")
        except OSError:
            problem = PictureProblem("not_an_image")
        else:
            self._note(path)
        shown = 1 - (brightness or 0.0) if query.normalized == "dark" else brightness or 0.0
        score = 0.0 if problem else 10 * shown
        return ImageScore(
            index=index, name=Path(path).name, score=score, method="yes_no", probability=shown, problem=problem
        )

    def _note(self, path: str) -> None:
        time.sleep(self.delay)
        self.scored.append(Path(path).name)
        if "LYCHEE_TEST_SCORED" in os.environ:
            with Path(os.environ["LYCHEE_TEST_SCORED"]).open("a") as file:
                file.write(Path(path).name + "\n")


if __name__ == "__main__":
    reranker = BrightnessReranker(delay=float(os.environ.get("LYCHEE_TEST_DELAY", "0")))
    with patch("lychee_rerank.commands.rank.open_reranker", return_value=reranker):
        app()
