"""How good is the demo checkpoint? The right picture first of 20, by style, language and method, through the real
Reranker.

    uv run --group demo python tools/demo/judge.py --queries 100

Each query names one thing; its 20 candidates show that thing and 19 others in the same style, placed and coloured
anew.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from lychee_rerank import LoadedImage, Reranker
from lychee_rerank.images.load import content_hash, image_key
from tools.demo.pictograms import EMOJI_STYLES, UNSEEN_STYLE, draw, read_things
from tools.demo.scenes import Stage

CANDIDATES = 20


@dataclass(frozen=True)
class Share:
    """How often the right picture came first, of `queries` queries."""

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
        str, typer.Option(help="Styles to judge by, with commas between.")
    ] = f"noto,twemoji,fluent-emoji,{UNSEEN_STYLE}",
    model: Annotated[str, typer.Option(help="The checkpoint to judge.")] = "demo",
    dtype: Annotated[str, typer.Option(help="float32 is quicker on a CPU without BF16 arithmetic.")] = "bfloat16",
    seed: int = 0,
    to: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.")] = None,
) -> None:
    reranker = Reranker.from_pretrained(model, method="yes_no", dtype=dtype)
    found = [
        judge(reranker, pictures, style, language, method, queries, seed)
        for style in styles.split(",")
        for pictures in [paint(style, seed)]
        for method in ("yes_no", "generate")
        for language in ("zh", "en")
    ]
    table = Table("style", "method", "language", f"right one first of {CANDIDATES}")
    for row in found:
        unseen = " (kept out of training)" if row.style == UNSEEN_STYLE else ""
        table.add_row(row.style + unseen, row.method, row.language, f"{row.share:.0%} of {row.queries}")
    Console().print(table)
    if to:
        to.write_text(json.dumps([{**vars(row), "share": row.share} for row in found], indent=2), encoding="utf-8")


def paint(style: str, seed: int) -> dict[int, LoadedImage]:
    """One picture of every thing the style has, on backgrounds the training never saw in this combination."""
    assert style in EMOJI_STYLES or style == UNSEEN_STYLE
    drawn = list({picture.thing: picture for picture in draw((style,))}.values())
    pixels = torch.stack([torch.from_numpy(picture.pixels) for picture in drawn]).permute(0, 3, 1, 2)
    things = torch.tensor([picture.thing for picture in drawn])
    stage = Stage(pixels, things, seed=seed + 1000, redraw=False)
    stage.difficulty = 0.4
    shown = stage.paint(torch.arange(len(drawn))).pictures
    return {int(thing): _loaded(picture) for thing, picture in zip(things, shown, strict=True)}


def judge(
    reranker: Reranker,
    pictures: dict[int, LoadedImage],
    style: str,
    language: str,
    method: str,
    queries: int,
    seed: int,
) -> Share:
    chance, things, first = random.Random(seed), read_things(), 0
    for _ in range(queries):
        wanted, *others = chance.sample(sorted(pictures), CANDIDATES)
        place = chance.randrange(CANDIDATES)
        candidates = [*others[:place], wanted, *others[place:]]
        names = things[wanted].chinese if language == "zh" else things[wanted].english
        reranker.options = replace(reranker.options, method=method)
        best = reranker.rank(names[0], [pictures[thing] for thing in candidates])[0]
        first += best.index == place
    return Share(style, language, method, first, queries)


def _loaded(picture: torch.Tensor) -> LoadedImage:
    array = (picture * 255).byte().permute(1, 2, 0).numpy()
    image = Image.fromarray(array).resize((384, 384), Image.Resampling.BICUBIC)
    return LoadedImage("scene", image, image.size, key=image_key(content_hash(image.tobytes())))


if __name__ == "__main__":
    typer.run(main)
