"""Train the demo checkpoint from scratch: the vision tower against names, then the language layers to answer yes or no
and to write a score with a reason.

    uv run --group demo python -m tools.demo.train see --minutes 20
    uv run --group demo python -m tools.demo.train judge --minutes 90
    uv run --group demo python -m tools.demo.train export

Progress is saved every few minutes under `--folder`, and both stages continue from it. docs/demo.md says what was
tried.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from tools.demo.export import export_checkpoint
from tools.demo.losses import alignment_loss, generation_loss, yes_no_loss
from tools.demo.network import build_network, init_matching_attention, init_patch_embedding, vision_forward
from tools.demo.optimizers import build_optimizers
from tools.demo.scenes import Scene, normalize
from tools.demo.training_context import TrainingContext, device, half_precision

logger = logging.getLogger("train")
app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Option(help="Where progress is saved.")]
Minutes = Annotated[float, typer.Option(help="How long to train; the learning rate falls to zero by then.")]
Reset = Annotated[bool, typer.Option("--anew/--no-anew", help="Start comparing from nothing; else continue.")]


@app.command("see")
def train_vision(
    folder: Folder = Path("build/demo"), minutes: Minutes = 20, batch: int = 96, rate: float = 2e-3
) -> None:
    """Align image tokens with the word embeddings of what they show, in both languages."""
    context = TrainingContext(folder)
    model = context.model
    if model is None:
        model = build_network(context.tokenizer.get_vocab())
        context.tie_synonyms(model)
        init_patch_embedding(model, normalize(context.renderer.render(context.sample_pictograms(600)).images))
        model.to(device())
    log_scale = nn.Parameter(torch.tensor(math.log(14.0)))
    trained = nn.ModuleList([model.model.visual, model.model.language_model.embed_tokens])
    optimizers = build_optimizers(trained, rate, (log_scale,))
    average = RunningMean()
    for step, progress in training_steps(minutes, rate, optimizers):
        context.renderer.difficulty = min(1.0, max(0.0, 2.2 * progress - 0.3)) if context.model is None else 1.0
        scene = context.renderer.render(context.sample_pictograms(batch))
        with half_precision():
            tokens = vision_forward(model, normalize(scene.images).to(device()))
        loss = alignment_loss(context, model, tokens.float(), scene, log_scale.exp())
        loss.backward()
        update_weights(trained, optimizers)
        average.add(loss=loss.item())
        if step % 50 == 0:
            logger.info("see %5d  %3.0f%%  %s", step, 100 * progress, average)
        if step % 400 == 0:
            context.save(model)
    context.save(model)


@app.command("judge")
def train_scoring(
    folder: Folder = Path("build/demo"),
    minutes: Minutes = 90,
    batch: int = 16,
    queries: int = 4,
    rate: float = 1.2e-3,
    reset_matching: Reset = True,
) -> None:
    """Answer yes or no, first about things alone, then about colors too; then also write scores with reasons."""
    context = TrainingContext(folder)
    model = context.model or build_network(context.tokenizer.get_vocab())
    if reset_matching:
        init_matching_attention(model, context.concept_embeddings(model))
    language = model.model.language_model
    optimizers = build_optimizers(language, rate)
    average, recent_accuracy, things_only = RunningMean(), 0.5, reset_matching
    for step, progress in training_steps(minutes, rate, optimizers):
        context.question_sampler.things_only = things_only
        context.renderer.difficulty = 0.4 if things_only else 1.0
        scene = context.renderer.render(context.sample_pictograms(batch))
        with half_precision():
            loss, accuracy = _scoring_loss(context, model, scene, queries, step, average)
        loss.backward()
        update_weights(language, optimizers)
        recent_accuracy += 0.05 * (accuracy - recent_accuracy)
        if things_only and recent_accuracy > 0.88:
            things_only, recent_accuracy = False, 0.6
            logger.info("now with colors, categories and written answers")
        if step % 50 == 0:
            logger.info("judge %5d  %3.0f%%  %s", step, 100 * progress, average)
        if step % 300 == 0:
            context.save(model)
    context.save(model)


def _scoring_loss(
    context: TrainingContext, model: nn.Module, scene: Scene, queries: int, step: int, average: RunningMean
) -> tuple[Tensor, float]:
    """(loss, accuracy of yes/no): yes/no, and once that works, written answers too."""
    things_only = context.question_sampler.things_only
    with torch.no_grad():  # the vision tower is frozen
        tokens = vision_forward(model, normalize(scene.images).to(device()))
    loss, accuracy = yes_no_loss(context, model, tokens, scene, queries, short=step % (2 if things_only else 6) == 0)
    average.add(yes_no=loss.item(), accuracy=accuracy)
    if things_only:
        return loss, accuracy
    generation = generation_loss(context, model, tokens, scene, reasons=step % 3 == 0)
    average.add(generation=generation.item())
    return loss + generation, accuracy


@app.command("export")
def export(folder: Folder = Path("build/demo"), to: Path = Path("lychee_rerank/demo/checkpoint")) -> None:
    """Write the trained network as a BF16 checkpoint folder."""
    context = TrainingContext(folder)
    if context.model is None:
        raise typer.BadParameter(f"nothing has been trained in {folder}")
    export_checkpoint(context.model, context.tokenizer, to)


def training_steps(minutes: float, rate: float, optimizers: list[torch.optim.Optimizer]) -> Iterator[tuple[int, float]]:
    """(step, share of the time gone) until the time is over; the learning rate warms up, then falls as a cosine."""
    start, step = time.monotonic(), 0
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        warmup, cosine = min(1.0, (step + 1) / 100), 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * warmup * (0.02 + 0.98 * cosine)
        yield step, progress
        step += 1


def update_weights(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class RunningMean:
    """Means since they were last printed."""

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
