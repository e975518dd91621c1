"""Train the demo checkpoint: the vision tower against names, then the language layers to answer yes or no and to
write a score with a reason.

    uv run --group demo python -m tools.demo.train all      from nothing to the exported checkpoint
    uv run --group demo python -m tools.demo.train see      one stage: better vision
    uv run --group demo python -m tools.demo.train judge    one stage: better scores
    uv run --group demo python -m tools.demo.train export

Progress is saved every few minutes under `--folder`; `see` and `judge` continue from it, else from the checkpoint
`--start`. docs/demo.md says what was tried.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from tools.demo.candidate_sets import CandidateSetSampler, SetMix, visual_neighbors
from tools.demo.export import export_checkpoint
from tools.demo.generation_loss import generation_loss
from tools.demo.losses import alignment_loss, yes_no_loss
from tools.demo.network import (
    build_network,
    image_token_mark,
    init_matching_attention,
    init_patch_embedding,
    vision_forward,
)
from tools.demo.optimizers import build_optimizers
from tools.demo.pair_grades import PairGrader
from tools.demo.pair_loss import Pairs, pair_loss, score_pairs
from tools.demo.pair_questions import SceneQuerySampler
from tools.demo.scenes import Scene, normalize
from tools.demo.training_context import SHIPPED, TrainingContext, device, half_precision
from tools.demo.training_loop import RunningMean, training_steps, update_weights

logger = logging.getLogger("train")
MAX_SCALE = 20.0  # unbounded, it rises to 49, and then only training drawings are told apart
SAVE_SECONDS = 240
# Minutes of see, judge, see, judge in `all`: those of the shipped checkpoint's last four stages
RECIPE_MINUTES = (62, 51, 45, 75)
app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Option(help="Where progress is saved.")]
Seed = Annotated[int, typer.Option(help="The same seed renders and asks the same, as far as the time allows.")]
Start = Annotated[Path | None, typer.Option(help="The checkpoint to continue from where the folder holds no progress.")]
Minutes = Annotated[float, typer.Option(help="How long to train; the learning rate falls to zero by then.")]
Samples = Annotated[int, typer.Option(help="How many shipped samples each batch holds beside.")]
Hard = Annotated[float, typer.Option(help="Share of a set that looks like its first thing or is of its category.")]
Mix = Annotated[str, typer.Option(help="Shares of sets: samples, colors, pairs, concept groups; the rest are similar.")]
SampleKinds = Annotated[float, typer.Option(help="Share of queries about concept groups in sets of samples.")]
Reset = Annotated[bool, typer.Option("--anew/--no-anew", help="Start comparing from nothing; else continue.")]
To = Annotated[Path, typer.Option(help="Where the checkpoint is written.")]


@app.command("all")
def train_from_scratch(
    folder: Folder = Path("build/demo"),
    minutes: Minutes = sum(RECIPE_MINUTES),
    seed: Seed = 0,
    to: To = Path("build/demo/checkpoint"),
) -> None:
    """The whole recipe from nothing: see, judge, see again with the embeddings frozen, judge again, export."""
    if TrainingContext(folder, start=None).saved_network.exists():
        raise typer.BadParameter(f"{folder} holds a network: continue with see and judge, or name another --folder")
    first_see, first_judge, second_see, second_judge = (
        minutes * stage / sum(RECIPE_MINUTES) for stage in RECIPE_MINUTES
    )
    train_vision(folder, first_see, seed=seed, start=None)
    train_scoring(folder, first_judge, seed=seed + 1, start=None, reset_matching=True)
    train_vision(folder, second_see, rate=1.2e-3, seed=seed + 2, start=None)
    train_scoring(folder, second_judge, seed=seed + 3, start=None)
    export(folder, to)


@app.command("see")
def train_vision(
    folder: Folder = Path("build/demo"),
    minutes: Minutes = 45,
    batch: int = 96,
    rate: float = 1.8e-3,
    seed: Seed = 0,
    start: Start = SHIPPED,
    samples: Samples = 4,
) -> None:
    """Align image tokens with the word embeddings of what they show, in both languages."""
    context = TrainingContext(folder, seed=seed, start=start)
    from_scratch = context.model is None
    model = context.model or _untrained_vision(context)
    log_scale = nn.Parameter(torch.tensor(math.log(14.0 if from_scratch else MAX_SCALE)))
    trained = nn.ModuleList([model.model.visual])
    if from_scratch:
        trained.append(model.model.language_model.embed_tokens)
    model.requires_grad_(False)
    trained.requires_grad_(True)
    mark = None if from_scratch else image_token_mark(model)
    optimizers = build_optimizers(trained, rate, (log_scale,))
    average, saved = RunningMean(), time.monotonic()
    for step, progress in training_steps(minutes, rate, optimizers):
        _set_vision_difficulty(context, progress, from_scratch)
        scene = _vision_batch(context, batch, samples)
        with half_precision():
            tokens = vision_forward(model, normalize(scene.images).to(device()))
        tokens = tokens.float() if mark is None else _project_out(tokens.float(), mark)
        loss, accuracy = alignment_loss(context, model, tokens, scene, log_scale.exp().clamp(max=MAX_SCALE))
        loss.backward()
        update_weights(trained, optimizers)
        average.add(loss=loss.item(), accuracy=accuracy)
        saved = _log_and_save(context, model, "see", step, progress, average, saved)
    context.save(model)


def _untrained_vision(context: TrainingContext) -> nn.Module:
    model = build_network(context.tokenizer.get_vocab())
    context.tie_synonyms(model)
    init_patch_embedding(model, normalize(context.renderer.render(context.sample_pictograms(600)).images))
    return model.to(device())


def _set_vision_difficulty(context: TrainingContext, progress: float, from_scratch: bool) -> None:
    renderer = context.renderer
    if from_scratch:
        renderer.difficulty = min(0.6, max(0.0, 1.3 * progress - 0.2))
        renderer.style_difficulty = min(0.8, max(0.0, 2 * progress - 0.2))
    else:
        renderer.difficulty, renderer.style_difficulty = 0.6, 0.4 + 0.4 * min(1.0, 2 * progress)


def _vision_batch(context: TrainingContext, batch: int, samples: int) -> Scene:
    """`batch` random scenes and `samples` of the shipped samples."""
    scene = context.renderer.render(context.sample_pictograms(batch))
    if not samples:
        return scene
    indexes = torch.randint(len(context.samples.thing), (samples,))
    return Scene.concat([scene, context.augmented_samples(indexes)])


def _project_out(tokens: Tensor, direction: Tensor) -> Tensor:
    """Without their part along `direction` (hidden,), a unit vector: the loss leaves that part as it is."""
    return tokens - (tokens @ direction)[..., None] * direction


@app.command("judge")
def train_scoring(
    folder: Folder = Path("build/demo"),
    minutes: Minutes = 75,
    groups: Annotated[int, typer.Option(help="How many sets of scenes a batch holds.")] = 3,
    rate: float = 6e-4,
    seed: Seed = 0,
    start: Start = SHIPPED,
    hard: Hard = 0.7,
    mix: Mix = "0.15,0.22,0.20,0.20",
    sample_kinds: SampleKinds = 0.25,
    reset_matching: Reset = False,
) -> None:
    """Answer yes or no about all pairs in sets of similar scenes, and write scores with reasons."""
    context = TrainingContext(folder, seed=seed, start=start)
    model = context.model or build_network(context.tokenizer.get_vocab())
    if reset_matching:
        _train_matching(context, model, minutes / 3, rate * 2)
        minutes *= 2 / 3
    set_mix = SetMix(*map(float, mix.split(",")), hard=hard, sample_groups=sample_kinds)
    language = model.model.language_model
    model.requires_grad_(False)
    language.requires_grad_(True)
    optimizers = build_optimizers(language, rate)
    context.renderer.difficulty, context.renderer.style_difficulty = 0.6, 0.5
    trainer = _PairTrainer(context, model, set_mix, groups)
    average, saved = RunningMean(), time.monotonic()
    for step, progress in training_steps(minutes, rate, optimizers):
        loss = trainer.loss(average, reasons=step % 3 == 2)
        loss.backward()
        update_weights(language, optimizers)
        saved = _log_and_save(context, model, "judge", step, progress, average, saved)
    context.save(model)


class _PairTrainer:
    """The loss of one batch of sets."""

    def __init__(self, context: TrainingContext, model: nn.Module, mix: SetMix, sets: int) -> None:
        self.context, self.model, self.sets = context, model, sets
        self.grader = PairGrader(context.things)
        self.queries = SceneQuerySampler(context.question_sampler, context.concept_groups, seed=context.seed + 7)
        self.scenes = CandidateSetSampler(context, visual_neighbors(context, model), mix)

    def loss(self, average: RunningMean, *, reasons: bool) -> Tensor:
        """Yes/no and ranking over all pairs, and the written answers of some."""
        context, model, (scene, mixes) = self.context, self.model, self.scenes.sample(self.sets)
        pairs = Pairs.sample(self.queries, self.grader, scene, mixes)
        with half_precision():
            with torch.no_grad():  # the vision tower is frozen
                tokens = vision_forward(model, normalize(scene.images).to(device()))
            logit = score_pairs(context, model, tokens, pairs)
            loss, metrics = pair_loss(pairs.grade, logit)
            written = generation_loss(context, model, self.grader, tokens, pairs, logit, reasons=reasons)
        average.add(**metrics)
        if written is None:
            return loss
        average.add(**{"reasons" if reasons else "scores": written.item()})
        return loss + written


def _train_matching(context: TrainingContext, model: nn.Module, minutes: float, rate: float) -> None:
    """The start of a new network: yes or no about single scenes, first about things alone, then about colors and
    categories too.
    """
    init_matching_attention(model, context.concept_embeddings(model))
    language, sampler, renderer = model.model.language_model, context.question_sampler, context.renderer
    optimizers = build_optimizers(language, rate)
    average, recent_accuracy, sampler.things_only = RunningMean(), 0.5, True
    for step, progress in training_steps(minutes, rate, optimizers):
        renderer.difficulty = renderer.style_difficulty = 0.4 if sampler.things_only else 0.6
        scene = renderer.render(context.sample_pictograms(16))
        short = step % (2 if sampler.things_only else 6) == 0
        with half_precision():
            with torch.no_grad():  # the vision tower is frozen
                tokens = vision_forward(model, normalize(scene.images).to(device()))
            loss, accuracy = yes_no_loss(context, model, tokens, scene, 4, short=short)
        average.add(yes_no=loss.item(), accuracy=accuracy)
        loss.backward()
        update_weights(language, optimizers)
        recent_accuracy += 0.05 * (accuracy - recent_accuracy)
        if recent_accuracy > 0.88:
            sampler.things_only, recent_accuracy = False, 0.6
        if step % 50 == 49:
            logger.info("compare %5d  %3.0f%%  %s", step + 1, 100 * progress, average)
    context.save(model)


def _log_and_save(
    context: TrainingContext,
    model: nn.Module,
    stage: str,
    step: int,
    progress: float,
    average: RunningMean,
    saved: float,
) -> float:
    """Logs every 50 steps and saves every few minutes; the time of the last save."""
    if step % 50 == 49:
        logger.info("%s %5d  %3.0f%%  %s", stage, step + 1, 100 * progress, average)
    if time.monotonic() - saved <= SAVE_SECONDS:
        return saved
    context.save(model)
    return time.monotonic()


@app.command("export")
def export(folder: Folder = Path("build/demo"), to: To = Path("lychee_rerank/demo/checkpoint")) -> None:
    """Write the trained network as a BF16 checkpoint folder."""
    context = TrainingContext(folder)
    if context.model is None:
        raise typer.BadParameter(f"nothing has been trained in {folder}")
    export_checkpoint(context.model, context.tokenizer, to)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app()
