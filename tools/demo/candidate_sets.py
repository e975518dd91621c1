"""Sets of similar scenes, which are compared with the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo.network import vision_forward
from tools.demo.pair_questions import QueryMix
from tools.demo.scenes import Scene, normalize
from tools.demo.training_context import TrainingContext, half_precision

SET_SIZE = 8
COLOR_SET = (0, 0, 0, 0, 1, 1, 2, 2)  # three things, each in several colors
PAIR_SET = ((0, 1, 0, 1, 0, 2, 3, 3), (1, 0, -1, -1, 2, 1, 2, -1))  # four things, in pairs and alone


@dataclass(frozen=True)
class SetMix:
    """Shares of sets: the shipped samples, few things in many colors, pairs of things, random things for queries about
    concept groups; the rest are similar things.

    hard: share of a set that looks like its first thing or is of the same category; sample_groups: share of queries
    about concept groups in sets of samples.
    """

    samples: float = 0.15
    colors: float = 0.22
    pairs: float = 0.20
    groups: float = 0.20
    hard: float = 0.7
    sample_groups: float = 0.25


class CandidateSetSampler:
    """Renders sets of SET_SIZE scenes. `neighbors` (things, n): the most similar things (`visual_neighbors`)."""

    def __init__(self, context: TrainingContext, neighbors: Tensor, mix: SetMix) -> None:
        self.context, self.neighbors, self.mix = context, neighbors, mix

    def sample(self, count: int) -> tuple[Scene, list[QueryMix]]:
        """(scenes of `count` sets one after the other, what to ask about each set)."""
        scenes, queries = zip(*(self._sample_set() for _ in range(count)), strict=True)
        return Scene.concat(list(scenes)), list(queries)

    def _sample_set(self) -> tuple[Scene, QueryMix]:
        mix, choice = self.mix, self.context.random.random()
        if choice < mix.samples:
            indexes = self.context.random.sample(range(len(self.context.samples.thing)), SET_SIZE)
            scene = self.context.augmented_samples(torch.tensor(indexes))
            return scene, QueryMix(color=0.25, group=mix.sample_groups, both=0.6)
        if choice < mix.samples + mix.colors:
            return self._color_set(), QueryMix(color=0.9, group=0.0)
        if choice < mix.samples + mix.colors + mix.pairs:
            return self._pair_set(), QueryMix(color=0.1, group=0.0, both=0.8)
        if choice < mix.samples + mix.colors + mix.pairs + mix.groups:
            return self._render(self.similar_things(SET_SIZE, 0.0)), QueryMix(color=0.1, group=0.75)
        return self._render(self.similar_things(SET_SIZE, mix.hard)), QueryMix(color=0.2, group=0.05)

    def _color_set(self) -> Scene:
        things, renderer = self.similar_things(3, self.mix.hard), self.context.renderer
        usual, renderer.tint_probability = renderer.tint_probability, 0.6
        scene = self._render([things[index] for index in COLOR_SET])
        renderer.tint_probability = usual
        return scene

    def _pair_set(self) -> Scene:
        things = self.similar_things(4, 0.4)
        first, second = ([things[index] for index in row] for row in PAIR_SET)
        second_indexes = self.context.sample_pictograms_of(second)
        return self._render(first, torch.where(torch.tensor(PAIR_SET[1]) >= 0, second_indexes, -1))

    def _render(self, things: list[int], second: Tensor | None = None) -> Scene:
        return self.context.renderer.render(self.context.sample_pictograms_of(things), second)

    def similar_things(self, count: int, hard: float) -> list[int]:
        """A random thing and others, of which the share `hard` look like it or are of its category."""
        rng, same_category = self.context.random, self.context.question_sampler.same_category
        first = rng.randrange(len(self.context.things))
        things = [first]
        while len(things) < count:
            choice = rng.random()
            if choice < hard * 0.75:
                nearest = self.neighbors[first]
                thing = int(nearest[rng.randrange(min(len(nearest), 4 + count))])
            elif choice < hard and same_category[first]:
                thing = rng.choice(same_category[first])
            else:
                thing = rng.randrange(len(self.context.things))
            if thing not in things:
                things.append(thing)
        return things


@torch.no_grad()
def visual_neighbors(context: TrainingContext, model: nn.Module, *, images: int = 5, count: int = 16) -> Tensor:
    """(things, count): the things most similar to the vision tower as it is now, by `images` of each thing."""
    total, things = torch.zeros(()), torch.arange(len(context.things))
    for _ in range(images):
        for batch in things.split(65):
            scene = context.renderer.render(context.sample_pictograms_of(batch.tolist()))
            pixels = normalize(scene.images).to(model.device)
            with half_precision():
                tokens = vision_forward(model, pixels).float().cpu()
            features = F.normalize(F.normalize(tokens, dim=-1).mean(1), dim=-1)
            total = total + torch.zeros(len(things), features.shape[1]).index_copy(0, batch, features)
    features = F.normalize(total, dim=-1)
    return (features @ features.T).fill_diagonal_(-2).topk(count).indices
