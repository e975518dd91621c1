"""The command line over a fake model whose score is an image's brightness, so that the order is known.

Run as a program it is `lychee-rerank` itself, slowed down by LYCHEE_TEST_DELAY (seconds per image) so that a test can
kill it half-way; the name of each scored image is appended to the file LYCHEE_TEST_SCORED.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

from PIL import Image, ImageStat
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.text.prompts import Messages
from lychee_rerank.weights.locate import Checkpoint


class BrightnessBackend:
    """Scores bright images high, or dark ones where the query says "dark"."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored: list[str] = []

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        time.sleep(self.delay)
        self.scored.append(image.name)
        if "LYCHEE_TEST_SCORED" in os.environ:
            with Path(os.environ["LYCHEE_TEST_SCORED"]).open("a") as file:
                file.write(image.name + "\n")
        brightness = ImageStat.Stat(image.image.convert("L")).mean[0] / 255
        likes_dark = "dark" in self.prompt_text(messages)
        return YesNoOutput(1 - brightness if likes_dark else brightness, "yes")

    def generate(
        self, messages: Messages, image: PreparedImage, *, stop: Callable[[str], bool], token_ids: tuple[int, ...] = ()
    ) -> GenerationOutput:
        raise NotImplementedError("this model answers yes or no only")

    def prefill(self, messages: Messages) -> None:
        pass

    def has_image_features(self, key: str) -> bool:  # noqa: ARG002
        return False

    def resize(self, image: Image.Image) -> Image.Image:
        return image

    def encode_image(self, image: PreparedImage) -> None:
        """Caches nothing."""

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002
        return ()

    def clear_cache(self) -> None:
        """Has no cache."""

    def prompt_text(self, messages: Messages) -> str:
        return repr(messages)


def brightness_reranker(backend: BrightnessBackend) -> Reranker:
    checkpoint = Checkpoint(Path(__file__).parent, "brightness", "argument")
    return Reranker(backend, checkpoint=checkpoint, options=ScoringOptions("yes_no"))


def run_command(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin)


def file_names(results: Iterable[Mapping[str, object]]) -> list[str]:
    return [Path(str(result["name"])).name for result in results]


def rank_names(*arguments: str | Path, stdin: str | bytes | None = None) -> list[str]:
    """The file names that `rank bright` gives, best first."""
    result = run_command("rank", "bright", *arguments, "--json", "-", "--quiet", stdin=stdin)
    assert result.exit_code == 0, result.output
    return file_names(json.loads(result.stdout)["results"])


if __name__ == "__main__":
    slow = brightness_reranker(BrightnessBackend(delay=float(os.environ.get("LYCHEE_TEST_DELAY", "0"))))
    with patch("lychee_rerank.cli.rank.open_reranker", return_value=slow):
        app()
