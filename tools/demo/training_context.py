"""What training works with: things, tokenizer, pictograms, questions and the network so far, kept in one folder."""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from tools.demo.network import build_network
from tools.demo.pictograms import EMOJI_STYLES, ICON_STYLES, draw, read_things
from tools.demo.prompt_text import PROMPT_WORDS
from tools.demo.questions import CATEGORIES, QuestionSampler
from tools.demo.scenes import COLORS, SceneRenderer
from tools.demo.tokenizer import keywords, train_tokenizer

TRAINED_STYLES = (*EMOJI_STYLES, "fluent-emoji-3d", *ICON_STYLES)
SHIPPED = Path(__file__).parent.parent.parent / "lychee_rerank" / "demo" / "checkpoint"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision() -> torch.autocast:
    """BF16 on a GPU only: a CPU without BF16 arithmetic takes seventeen times as long with it."""
    return torch.autocast(device().type, torch.bfloat16, enabled=device().type == "cuda")


class TrainingContext:
    """Continues from earlier training in `folder`, else from the shipped checkpoint, else starts from scratch."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.things = read_things()
        self.keywords = {language: keywords(self.things, language) for language in ("zh", "en")}
        self.question_sampler = QuestionSampler(
            self.things, self.keywords, seed=seed + int((folder / "network.pt").exists())
        )
        self.random = random.Random(seed)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        path, shipped = self.folder / "tokenizer.json", SHIPPED / "tokenizer.json"
        if not path.exists() and not shipped.exists():
            train_tokenizer(self._tokenizer_words()).save(str(path))
        return Tokenizer.from_file(str(path if path.exists() else shipped))

    @cached_property
    def model(self) -> nn.Module | None:
        """The network so far; None when training starts from scratch."""
        path, shipped = self.folder / "network.pt", SHIPPED / "model.safetensors"
        if not path.exists() and not shipped.exists():
            return None
        model = build_network(self.tokenizer.get_vocab())
        if path.exists():
            model.load_state_dict(torch.load(path, weights_only=True))
        else:
            model = type(model).from_pretrained(SHIPPED, dtype=torch.float32)
        return model.to(device())

    def save(self, model: nn.Module) -> None:
        partial = self.folder / "network.partial"
        torch.save(model.state_dict(), partial)
        partial.replace(self.folder / "network.pt")

    @cached_property
    def renderer(self) -> SceneRenderer:
        """Draws the pictograms once and caches them in `folder`."""
        path = self.folder / "pictograms.npz"
        if not path.exists():
            pictograms = draw(TRAINED_STYLES)
            columns = {name: [getattr(row, name) for row in pictograms] for name in ("thing", "style", "pixels")}
            np.savez(path, **columns)
        cached = np.load(path)
        self.is_emoji = torch.from_numpy(np.isin(cached["style"], (*EMOJI_STYLES, "fluent-emoji-3d")))
        pixels = torch.from_numpy(cached["pixels"]).permute(0, 3, 1, 2).contiguous()
        return SceneRenderer(pixels, torch.from_numpy(cached["thing"]), seed=int(torch.seed() % 2**31))

    def sample_pictograms(self, batch: int) -> Tensor:
        """(batch,) indexes: every thing equally often, emoji drawings four times as often as line icons."""
        renderer = self.renderer
        weight = torch.where(self.is_emoji, 1.0, 0.25 * renderer.difficulty + 1e-4)
        per_thing = torch.zeros(len(self.things)).index_add_(0, renderer.thing, weight)
        return torch.multinomial(weight / per_thing[renderer.thing], batch, replacement=True)

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
        return [token for token in self.tokenizer.encode(name).ids if token != self._space_id]

    @cached_property
    def _space_id(self) -> int:
        return self.tokenizer.encode(" ").ids[0]

    def _tokenizer_words(self) -> list[str]:
        names = [name for thing in self.things for name in (*thing.english, *thing.chinese)]
        colors = [word for name, chinese, *_ in COLORS for word in (name, *chinese)]
        categories = [word for pair in CATEGORIES.values() for word in pair]
        extra = [word for language in ("zh", "en") for words in self.keywords[language] for word in words]
        return [*names, *colors, *categories, *PROMPT_WORDS, *names, *extra]
