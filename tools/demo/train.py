"""Train the demo checkpoint from scratch: first see (pictures beside names), then compare (yes/no), then write (score
and reason).

    uv run --group demo python tools/demo/train.py see --minutes 20
    uv run --group demo python tools/demo/train.py judge --minutes 90
    uv run --group demo python tools/demo/train.py export

Progress is saved every few minutes under `--folder`, and both lessons go on from there. What a first trial showed
stands in docs/demo.md.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from tools.demo.classroom import Classroom, device, half_precision
from tools.demo.export import export_checkpoint
from tools.demo.network import build, see, start_comparing, start_seeing
from tools.demo.optimizers import optimizers
from tools.demo.scenes import normalised

logger = logging.getLogger("train")
app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Option(help="Where progress is kept.")]
Minutes = Annotated[float, typer.Option(help="How long this lesson may take; the learning rate falls to zero by then.")]


@app.command("see")
def learn_to_see(
    folder: Folder = Path("build/demo"), minutes: Minutes = 20, batch: int = 96, rate: float = 2e-3
) -> None:
    """Align image tokens with the word embeddings of what they show, in both languages."""
    room = Classroom(folder)
    model = room.model
    if model is None:
        model = build(room.tokenizer.get_vocab())
        room.let_names_agree(model)
        start_seeing(model, normalised(room.stage.paint(room.choose(600)).pictures))
        model.to(device())
    sharpness = nn.Parameter(torch.tensor(math.log(14.0)))
    parts = nn.ModuleList([model.model.visual, model.model.language_model.embed_tokens])
    both = optimizers(parts, rate, (sharpness,))
    average = Running()
    for step, part in lesson(minutes, rate, both):
        room.stage.difficulty = min(1.0, max(0.0, 2.2 * part - 0.3)) if room.model is None else 1.0
        scene = room.stage.paint(room.choose(batch))
        with half_precision():
            tokens = see(model, normalised(scene.pictures).to(device()))
        loss = alignment(room, model, tokens.float(), scene, sharpness.exp())
        loss.backward()
        apply_gradients(parts, both)
        average.add(loss=loss.item())
        if step % 50 == 0:
            logger.info("see %5d  %3.0f%%  %s", step, 100 * part, average)
        if step % 400 == 0:
            room.save(model)
    room.save(model)


def alignment(room: Classroom, model: nn.Module, tokens: Tensor, scene, sharpness: Tensor | float) -> Tensor:  # noqa: ANN001
    """Cross-entropy of the right name among all names, for Chinese and English, and of the background's colour at the
    rim. Every token counts alike, so that each of them comes to carry what the whole picture shows.
    """
    embed = model.model.language_model.embed_tokens.weight
    tokens = F.normalize(tokens, dim=-1)
    seen = tokens.mean(1)
    total = torch.zeros((), device=tokens.device)
    for language in ("zh", "en"):
        names = F.normalize(room.name_embeddings(embed, language), dim=-1)
        total = total + F.cross_entropy(sharpness * seen @ names.T, scene.thing.to(tokens.device), label_smoothing=0.05)
    rim = tokens[:, room.rim].mean(1)
    known = (scene.background >= 0).nonzero()[:, 0].to(tokens.device)
    colours = F.normalize(room.colour_embeddings(embed), dim=-1)
    total = total + 0.4 * F.cross_entropy(sharpness * rim[known] @ colours.T, scene.background.to(tokens.device)[known])
    return total / 2


@app.command("judge")
def learn_to_judge(
    folder: Folder = Path("build/demo"),
    minutes: Minutes = 90,
    batch: int = 16,
    queries: int = 4,
    rate: float = 1.2e-3,
    anew: Annotated[bool, typer.Option(help="Start comparing from nothing; else go on.")] = True,
) -> None:
    """Answer yes or no, first about things alone, then about colours too; then also write scores with reasons."""
    room = Classroom(folder)
    model = room.model or build(room.tokenizer.get_vocab())
    if anew:
        start_comparing(model, room.all_names(model))
    language = model.model.language_model
    both = optimizers(language, rate)
    average, right_lately, simple = Running(), 0.5, anew
    for step, part in lesson(minutes, rate, both):
        room.teacher.simple, room.stage.difficulty = simple, 0.4 if simple else 1.0
        scene = room.stage.paint(room.choose(batch))
        with half_precision():
            with torch.no_grad():  # what it has learned to see stays as it is
                tokens = see(model, normalised(scene.pictures).to(device()))
            loss, right = room.judging_loss(model, tokens, scene, queries, short=step % (2 if simple else 6) == 0)
            average.add(judged=loss.item(), right=right)
            if not simple:
                written = room.writing_loss(model, tokens, scene, reasons=step % 3 == 0)
                average.add(written=written.item())
                loss = loss + written
        loss.backward()
        apply_gradients(language, both)
        right_lately += 0.05 * (right - right_lately)
        if simple and right_lately > 0.88:
            simple, right_lately = False, 0.6
            logger.info("asked about colours and kinds too, and to write")
        if step % 50 == 0:
            logger.info("judge %5d  %3.0f%%  %s", step, 100 * part, average)
        if step % 300 == 0:
            room.save(model)
    room.save(model)


@app.command("export")
def export(folder: Folder = Path("build/demo"), to: Path = Path("lychee_rerank/demo/checkpoint")) -> None:
    """Write the trained network as a BF16 checkpoint folder."""
    room = Classroom(folder)
    if room.model is None:
        raise typer.BadParameter(f"nothing has been trained in {folder}")
    export_checkpoint(room.model, room.tokenizer, to)


def lesson(minutes: float, rate: float, steppers: list[torch.optim.Optimizer]) -> Iterator[tuple[int, float]]:
    """(step, share of the time gone) until the time is over; the learning rate warms up and falls as a cosine."""
    start, step = time.monotonic(), 0
    while (part := (time.monotonic() - start) / (60 * minutes)) < 1:
        for optimizer in steppers:
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
        yield step, part
        step += 1


def apply_gradients(model: nn.Module, steppers: list[torch.optim.Optimizer]) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in steppers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class Running:
    """Averages since the last time they were shown."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def __str__(self) -> str:
        text = "  ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in self.values.items())
        self.values.clear()
        return text


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app()
