"""What training works with: things, tokenizer, pictograms, questions and the network so far, kept in one folder."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from tools.demo.colors import COLORS
from tools.demo.concept_groups import ConceptGroup, concept_groups
from tools.demo.network import build_network
from tools.demo.pictograms import draw, read_things
from tools.demo.prompt_text import PROMPT_WORDS
from tools.demo.questions import CATEGORIES, QuestionSampler
from tools.demo.sample_training import augment_samples, sample_scenes
from tools.demo.scenes import Scene, SceneRenderer
from tools.demo.styles import EMOJI_STYLES, GLYPH_STYLES, TRAINED_STYLES
from tools.demo.tokenizer import keywords, train_tokenizer

SHIPPED = Path(__file__).parent.parent.parent / "lychee_rerank" / "demo" / "checkpoint"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision() -> torch.autocast:
    """BF16 where the machine computes it: a CPU without BF16 arithmetic takes seventeen times as long with it."""
    supported = device().type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device().type, torch.bfloat16, enabled=supported)


class TrainingContext:
    """Continues from earlier training in `folder`, else from the checkpoint `start`; where that is None, starts from
    scratch. The same seed renders and asks the same.
    """

    def __init__(self, folder: Path, *, seed: int = 0, start: Path | None = SHIPPED) -> None:
        self.folder, self.seed, self.start = folder, seed, start
        folder.mkdir(parents=True, exist_ok=True)
        self.things = read_things()
        self.keywords = {language: keywords(self.things, language) for language in ("zh", "en")}
        torch.manual_seed(seed)
        self.question_sampler = QuestionSampler(self.things, self.keywords, seed=seed)
        self.random = random.Random(seed)
        self._token_id_cache: dict[str, list[int]] = {}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        if not path.exists() and self.start:
            path = self.start / "tokenizer.json"
        elif not path.exists():
            train_tokenizer(self._tokenizer_words()).save(str(path))
        return Tokenizer.from_file(str(path))

    @cached_property
    def model(self) -> nn.Module | None:
        """The network so far; None when training starts from scratch."""
        if not self.saved_network.exists() and not self.start:
            return None
        model = build_network(self.tokenizer.get_vocab())
        if self.saved_network.exists():
            model.load_state_dict(torch.load(self.saved_network, weights_only=True))
        else:
            model = type(model).from_pretrained(self.start, dtype=torch.float32)
        return model.to(device())

    @property
    def saved_network(self) -> Path:
        return self.folder / "network.pt"

    def save(self, model: nn.Module) -> None:
        partial = self.folder / "network.partial"
        torch.save(model.state_dict(), partial)
        partial.replace(self.saved_network)

    @cached_property
    def renderer(self) -> SceneRenderer:
        """Draws the pictograms once and caches them in `folder`."""
        pixels = torch.from_numpy(self._pictograms["pixels"]).permute(0, 3, 1, 2).contiguous()
        return SceneRenderer(pixels, torch.from_numpy(self._pictograms["thing"]), seed=self.seed)

    @cached_property
    def _pictograms(self) -> np.lib.npyio.NpzFile:
        path = self.folder / "pictograms.npz"
        if not path.exists():
            pictograms = draw(TRAINED_STYLES)
            columns = {name: [getattr(row, name) for row in pictograms] for name in ("thing", "style", "pixels")}
            np.savez(path, **columns)
        return np.load(path)

    @cached_property
    def pictogram_weight(self) -> Tensor:
        """(pictograms,) sampling weights: every thing equally often, emoji drawings twice as often as glyphs of a font
        and four times as often as icons.
        """
        style, thing = self._pictograms["style"], torch.from_numpy(self._pictograms["thing"])
        weight = np.where(np.isin(style, (*EMOJI_STYLES, "fluent-emoji-3d")), 1.0, 0.25)
        weight = torch.from_numpy(np.where(np.isin(style, GLYPH_STYLES), 0.5, weight)).float()
        per_thing = torch.zeros(len(self.things)).index_add_(0, thing, weight)
        return weight / per_thing[thing]

    def sample_pictograms(self, batch: int) -> Tensor:
        """(batch,) indexes of pictograms of random things."""
        return self.renderer.random.multinomial(self.pictogram_weight, batch)

    def sample_pictograms_of(self, things: list[int]) -> Tensor:
        """(len(things),) indexes of one pictogram of each of these things."""
        own = [self._pictograms_by_thing[thing] for thing in things]
        return torch.cat([rows[self.renderer.random.multinomial(self.pictogram_weight[rows], 1)] for rows in own])

    @cached_property
    def _pictograms_by_thing(self) -> list[Tensor]:
        return [(self.renderer.thing == thing).nonzero()[:, 0] for thing in range(len(self.things))]

    @cached_property
    def samples(self) -> Scene:
        """The shipped sample images, as the app shows them to the model."""
        return sample_scenes(self.things)

    def augmented_samples(self, indexes: Tensor) -> Scene:
        """The samples at `indexes`, slightly changed."""
        scene = self.samples[indexes]
        return replace(scene, images=augment_samples(scene.images, self.renderer.random))

    @cached_property
    def concept_groups(self) -> list[ConceptGroup]:
        return concept_groups(self.things)

    @cached_property
    def group_membership(self) -> Tensor:
        """(things, groups): 1 for members, -1 for borderline things, else 0."""
        table = torch.zeros(len(self.things), len(self.concept_groups))
        for column, group in enumerate(self.concept_groups):
            table[sorted(group.borderline), column] = -1.0
            table[sorted(group.members), column] = 1.0
        return table

    @torch.no_grad()
    def tie_synonyms(self, model: nn.Module) -> None:
        """Starts all names of a thing, in both languages, from the mean of their embeddings."""
        embed = model.model.language_model.embed_tokens.weight
        size, total = embed.norm(dim=1).mean(), torch.zeros_like(embed)
        for thing in self.things:
            names = [self._token_ids(name) for name in (*thing.chinese, *thing.english)]
            mean = F.normalize(torch.stack([embed[ids].mean(0) for ids in names]).mean(0), dim=0)
            for ids in names:
                total[ids] += mean
        tied = total.norm(dim=1) > 0
        embed[tied] = size * F.normalize(total[tied], dim=1)

    def name_embeddings(self, embed: Tensor, language: str) -> Tensor:
        """(things, hidden): the mean token embedding of one name of each thing."""
        return self._mean_embeddings(
            embed, [self.question_sampler.sample_name(thing, language) for thing in range(len(self.things))]
        )

    def color_embeddings(self, embed: Tensor) -> Tensor:
        """(colors, hidden): the mean token embedding of one name of each color, all in one language."""
        chinese = self.random.random() < 0.5
        return self._mean_embeddings(embed, [self.random.choice(row[1]) if chinese else row[0] for row in COLORS])

    def group_embeddings(self, embed: Tensor) -> Tensor:
        """(groups, hidden): the mean token embedding of one word for each concept group, in either language."""
        words = [
            self.random.choice(group.chinese if self.random.random() < 0.5 else group.english)
            for group in self.concept_groups
        ]
        return self._mean_embeddings(embed, words)

    @torch.no_grad()
    def concept_embeddings(self, model: nn.Module) -> Tensor:
        """(2 x things + colors, hidden): one name of each thing in each language, and of each color."""
        embed = model.model.language_model.embed_tokens.weight
        things = [self.name_embeddings(embed, language) for language in ("zh", "en")]
        return torch.cat([*things, self.color_embeddings(embed)])

    def _mean_embeddings(self, embed: Tensor, names: list[str]) -> Tensor:
        rows = [self._token_ids(name) for name in names]
        ids = torch.tensor([token for row in rows for token in row], device=embed.device)
        index = torch.tensor([index for index, row in enumerate(rows) for _ in row], device=embed.device)
        count = torch.tensor([len(row) for row in rows], device=embed.device)
        total = torch.zeros(len(rows), embed.shape[1], device=embed.device).index_add_(0, index, embed[ids])
        return total / count[:, None]

    def _token_ids(self, name: str) -> list[int]:
        if name not in self._token_id_cache:
            ids = self.tokenizer.encode(name).ids
            self._token_id_cache[name] = [token for token in ids if token != self._space_id]
        return self._token_id_cache[name]

    @cached_property
    def _space_id(self) -> int:
        return self.tokenizer.encode(" ").ids[0]

    def _tokenizer_words(self) -> list[str]:
        names = [name for thing in self.things for name in (*thing.english, *thing.chinese)]
        colors = [word for name, chinese, *_ in COLORS for word in (name, *chinese)]
        categories = [word for pair in CATEGORIES.values() for word in pair]
        extra = [word for language in ("zh", "en") for words in self.keywords[language] for word in words]
        return [*names, *colors, *categories, *PROMPT_WORDS, *names, *extra]
