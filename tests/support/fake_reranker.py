"""A reranker for tests of jobs and of the page: an image scores higher the redder it is.

For queries that name another color and not red (蓝, 绿), such as a condition of one, that color counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import ImageStat

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.images.files import EncodedImage
from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query
from lychee_rerank.text.score_parser import parse_score
from lychee_rerank.weights.locate import Checkpoint


class FakeReranker:
    """Answers like a model that writes scores, after `delay` seconds for each image: the score first, the reason by
    `explain`. For the query 无分 it writes no score. `log` gets a line for each image that it scores.
    """

    method = "generate"
    decoding_threads = 2
    checkpoint = Checkpoint(Path("fake"), "fake", "argument")
    device_map_plan = DeviceMapPlan({"": "cpu"}, "everything on CPU, 0.0 GB", "float32", 1)

    def __init__(self, delay: float = 0.0, log: Path | None = None) -> None:
        self.delay = delay
        self.log = log
        self.options_of_rankings: list[ScoringOptions] = []
        self.scored = self.encoded = self.cleared = 0

    def prepare(self, image: EncodedImage, *, options: ScoringOptions) -> LoadedImage:
        return load_image(image, fit=options.fit)

    def stream(
        self, query: Query, images: Iterable[LoadedImage], *, options: ScoringOptions
    ) -> Generator[ImageScore, None, None]:
        self.options_of_rankings.append(options)
        for index, image in enumerate(images):
            time.sleep(self.delay)
            if not image.problem:
                self._count_scored(image)
            yield _score(query, index, image, options)

    def explain(self, query: Query, result: ImageScore, image: EncodedImage, *, options: ScoringOptions) -> ImageScore:
        time.sleep(self.delay)
        if result.problem or result.finished:
            return result
        return replace(result, answer=f"{result.answer} 理由：<b>红</b>\n第二行", finished=True)

    def prompt_text(self, query: Query, *, options: ScoringOptions) -> str:
        return f"PROMPT {query.normalized}"

    def near_duplicates(self, content_hashes: Sequence[str], *, options: ScoringOptions) -> tuple[tuple[int, ...], ...]:
        return ()

    def encode_image(self, image: bytes | Path, *, options: ScoringOptions) -> None:
        self.encoded += 1

    def clear_cache(self) -> None:
        self.cleared += 1

    def _count_scored(self, image: LoadedImage) -> None:
        self.scored += 1
        if self.log:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{image.content_hash}\n")


def open_fake_reranker(delay: float = 0.0) -> tuple[FakeReranker, ScoringOptions]:
    """What a `Job` opens."""
    return FakeReranker(delay), ScoringOptions()


def load_fake_reranker(model: str, reserve_gib: float) -> FakeReranker:
    """What the page loads; LYCHEE_TEST_DELAY is its delay in seconds, LYCHEE_TEST_SCORED its log."""
    log = os.environ.get("LYCHEE_TEST_SCORED")
    return FakeReranker(float(os.environ.get("LYCHEE_TEST_DELAY", "0")), Path(log) if log else None)


def _score(query: Query, index: int, image: LoadedImage, options: ScoringOptions) -> ImageScore:
    result = ImageScore(index, image.name, 0.0, options.method, notes=image.notes, problem=image.problem)
    if image.problem:
        return result
    red, green, blue = ImageStat.Stat(image.image).mean
    excess = {"红": red - green, "蓝": blue - green, "绿": green - red, "": red - green}
    score = max(0.0, next(amount for color, amount in excess.items() if color in query.text) / 25.5)
    if options.method == "yes_no":
        return replace(result, score=score, answer="yes", probability=score / 10)
    answer = "说不好。" if query.text == "无分" else f"得分：{score:.1f}分。"
    parsed = parse_score(answer)
    return replace(result, score=parsed.value, answer=answer, parsed=parsed, finished=False)
