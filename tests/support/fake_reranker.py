"""A reranker for tests of jobs and the page: scores how red a picture is, in `delay` seconds each."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

from PIL import ImageStat

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.images.load import load_image
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query
from lychee_rerank.text.score_parser import parse_score
from lychee_rerank.weights.locate import Checkpoint


class StandIn:
    """Answers like a model that writes scores; an answer begins with the score and is carried on by `explain`."""

    method = "generate"
    checkpoint = Checkpoint(Path("stand-in"), "stand-in", "argument")
    device_map_plan = DeviceMapPlan({"": "cpu"}, "everything on CPU, 0.0 GB")

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.scored = self.looked = 0

    def stream(self, query: Query, images: Iterable[bytes | Path], *, options: object = None) -> Generator[ImageScore]:
        for index, source in enumerate(images):
            time.sleep(self.delay)
            self.scored += 1
            yield self._score(query, index, load_image(source))

    def explain(self, query: Query, result: ImageScore, image: bytes | Path, *, options: object = None) -> ImageScore:
        time.sleep(self.delay)
        told = replace(result, answer=f"{result.answer} 理由：<b>红</b>\n第二行", finished=True)
        return result if result.problem else told

    def prompt_text(self, query: Query, *, options: object = None) -> str:
        return f"PROMPT {query.normalized}"

    def encode_image(self, image: bytes | Path, *, options: object = None) -> None:
        self.looked += 1

    def clear_cache(self) -> None:
        return None

    def _score(self, query: Query, index: int, picture: object) -> ImageScore:
        if picture.problem:  # type: ignore[attr-defined]
            return ImageScore(index, picture.name, 0.0, "generate", problem=picture.problem)  # type: ignore[attr-defined]
        red, green, _ = ImageStat.Stat(picture.image).mean  # type: ignore[attr-defined]
        answer = "说不好。" if query.text == "无分" else f"得分：{max(0.0, (red - green) / 25.5):.1f}分。"
        parsed = parse_score(answer)
        return ImageScore(
            index,
            "picture",
            parsed.value,
            "generate",
            answer,
            parsed,
            notes=picture.notes,  # type: ignore[attr-defined]
            finished=False,
        )
