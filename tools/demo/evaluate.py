"""How good is the demo checkpoint? How often the right image of 20 comes first, by style, language and method, through
the real Reranker.

    uv run --group demo python -m tools.demo.evaluate --queries 100

Each query names one thing; its 20 candidates show that thing and 19 others in the same style, newly placed and colored.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from lychee_rerank import LoadedImage, Reranker
from lychee_rerank.images.files import content_hash
from lychee_rerank.images.load import image_key
from tools.demo.pictograms import draw, read_things
from tools.demo.scenes import SceneRenderer
from tools.demo.styles import EMOJI_STYLES, FINAL_TEST_STYLE, UNSEEN_STYLE

CANDIDATES = 20


@dataclass(frozen=True)
class Precision:
    """Precision at 1: in `first` of `queries` the right image came first."""

    style: str
    language: str
    method: str
    first: int
    queries: int

    @property
    def share(self) -> float:
        return self.first / self.queries


def main(
    queries: Annotated[int, typer.Option(help="Queries for each style, language and method.")] = 100,
    styles: Annotated[
        str, typer.Option(help="Styles to evaluate, separated by commas.")
    ] = f"noto,twemoji,fluent-emoji,{UNSEEN_STYLE},{FINAL_TEST_STYLE}",
    model: Annotated[str, typer.Option(help="The checkpoint to evaluate.")] = "demo",
    dtype: Annotated[str, typer.Option(help="float32 is faster on a CPU without BF16 arithmetic.")] = "bfloat16",
    seed: int = 0,
    to: Annotated[Path | None, typer.Option(help="Also write the results as JSON.")] = None,
) -> None:
    reranker = Reranker.from_pretrained(model, method="yes_no", dtype=dtype)
    results = [
        evaluate(reranker, images, style, language, method, queries, seed)
        for style in styles.split(",")
        for images in [render(style, seed)]
        for method in ("yes_no", "generate")
        for language in ("zh", "en")
    ]
    table = Table("style", "method", "language", f"right one first of {CANDIDATES}")
    for row in results:
        unseen = " (kept out of training)" if row.style in (UNSEEN_STYLE, FINAL_TEST_STYLE) else ""
        table.add_row(row.style + unseen, row.method, row.language, f"{row.share:.0%} of {row.queries}")
    Console().print(table)
    if to:
        to.write_text(json.dumps([{**vars(row), "share": row.share} for row in results], indent=2), encoding="utf-8")


def render(style: str, seed: int) -> dict[int, LoadedImage]:
    """One image of every thing the style has, on backgrounds that training never showed in this combination."""
    assert style in (*EMOJI_STYLES, UNSEEN_STYLE, FINAL_TEST_STYLE)
    pictograms = list({pictogram.thing: pictogram for pictogram in draw((style,))}.values())
    pixels = torch.from_numpy(np.stack([pictogram.pixels for pictogram in pictograms])).permute(0, 3, 1, 2)
    things = torch.tensor([pictogram.thing for pictogram in pictograms])
    renderer = SceneRenderer(pixels, things, seed=seed + 1000, augment=False)
    renderer.difficulty, renderer.tint_probability = 0.4, 0.06
    images = renderer.render(torch.arange(len(pictograms))).images
    return {int(thing): _to_loaded_image(image) for thing, image in zip(things, images, strict=True)}


def evaluate(
    reranker: Reranker,
    images: dict[int, LoadedImage],
    style: str,
    language: str,
    method: str,
    queries: int,
    seed: int,
) -> Precision:
    """Precision at 1 over `queries` queries, each with CANDIDATES of the `images` (by index in things.tsv)."""
    rng, things, first = random.Random(seed), read_things(), 0
    options = replace(reranker.options, method=method)
    for _ in range(queries):
        relevant, *others = rng.sample(sorted(images), CANDIDATES)
        index = rng.randrange(CANDIDATES)
        candidates = [images[thing] for thing in (*others[:index], relevant, *others[index:])]
        names = things[relevant].chinese if language == "zh" else things[relevant].english
        first += reranker.rank(names[0], candidates, options=options)[0].index == index
    return Precision(style, language, method, first, queries)


def _to_loaded_image(image: torch.Tensor) -> LoadedImage:
    array = (image * 255).byte().permute(1, 2, 0).numpy()
    resized = Image.fromarray(array).resize((384, 384), Image.Resampling.BICUBIC)
    return LoadedImage("scene", resized, resized.size, key=image_key(content_hash(resized.tobytes())))


if __name__ == "__main__":
    typer.run(main)
