"""Everything a lesson needs in one place: pictograms, names, tokenizer, network so far, and questions turned into
losses.
"""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from tools.demo.lessons import CATEGORIES, Question, Shown, Teacher, answer
from tools.demo.network import GRID, IMAGE_TOKENS, MERGE, build, read
from tools.demo.pictograms import EMOJI_STYLES, ICON_STYLES, draw, read_things
from tools.demo.prompt_text import ALL_WORDS, prompt_parts
from tools.demo.scenes import COLOURS, Scene, Stage
from tools.demo.summary import keywords, learn

TRAINED_STYLES = (*EMOJI_STYLES, "fluent-emoji-3d", *ICON_STYLES)
SIDE = GRID // MERGE
SHIPPED = Path(__file__).parent.parent.parent / "lychee_rerank" / "demo" / "checkpoint"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision() -> torch.autocast:
    """BF16 on a GPU only: a CPU without BF16 arithmetic takes seventeen times as long with it."""
    return torch.autocast(device().type, torch.bfloat16, enabled=device().type == "cuda")


class Classroom:
    """Goes on from earlier lessons in `folder`, else from the checkpoint that is shipped, else starts anew."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.things = read_things()
        self.keywords = {language: keywords(self.things, language) for language in ("zh", "en")}
        self.teacher = Teacher(self.things, self.keywords, seed=seed + int((folder / "network.pt").exists()))
        self.random = random.Random(seed)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        path, shipped = self.folder / "tokenizer.json", SHIPPED / "tokenizer.json"
        if not path.exists() and not shipped.exists():
            learn(self._words()).save(str(path))
        return Tokenizer.from_file(str(path if path.exists() else shipped))

    @cached_property
    def model(self) -> nn.Module | None:
        path, shipped = self.folder / "network.pt", SHIPPED / "model.safetensors"
        if not path.exists() and not shipped.exists():
            return None
        model = build(self.tokenizer.get_vocab())
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
    def stage(self) -> Stage:
        path = self.folder / "pictograms.npz"
        if not path.exists():
            drawn = draw(TRAINED_STYLES)
            styles = np.array([picture.style for picture in drawn])
            np.savez(path, thing=[p.thing for p in drawn], style=styles, pixels=np.stack([p.pixels for p in drawn]))
        kept = np.load(path)
        self.emoji = torch.from_numpy(np.isin(kept["style"], (*EMOJI_STYLES, "fluent-emoji-3d")))
        pixels = torch.from_numpy(kept["pixels"]).permute(0, 3, 1, 2).contiguous()
        return Stage(pixels, torch.from_numpy(kept["thing"]), seed=int(torch.seed() % 2**31))

    def choose(self, batch: int) -> Tensor:
        """Pictograms: every thing alike often, and emoji drawings four times as often as line icons."""
        stage = self.stage
        weight = torch.where(self.emoji, 1.0, 0.25 * stage.difficulty + 1e-4)
        per_thing = torch.zeros(len(self.things)).index_add_(0, stage.thing, weight)
        return torch.multinomial(weight / per_thing[stage.thing], batch, replacement=True)

    @torch.no_grad()
    def let_names_agree(self, model: nn.Module) -> None:
        """Start all names of a thing, in both languages, from the mean of their embeddings: they mean the same."""
        embed = model.model.language_model.embed_tokens.weight
        size, gathered = embed.norm(dim=1).mean(), torch.zeros_like(embed)
        for thing in self.things:
            pieces = [self._pieces(name) for name in (*thing.chinese, *thing.english)]
            middle = F.normalize(torch.stack([embed[ids].mean(0) for ids in pieces]).mean(0), dim=0)
            for ids in pieces:
                gathered[ids] += middle
        named = gathered.norm(dim=1) > 0
        embed[named] = size * F.normalize(gathered[named], dim=1)

    def _pieces(self, words: str) -> list[int]:
        return [token for token in self.tokenizer.encode(words).ids if token != self.space]

    @cached_property
    def rim(self) -> list[int]:
        return [row * SIDE + column for row in range(SIDE) for column in range(SIDE) if {row, column} & {0, SIDE - 1}]

    def name_embeddings(self, embed: Tensor, language: str) -> Tensor:
        """(things, hidden): the mean embedding of one name of each thing."""
        return self._mean_embeddings(
            embed, [self.teacher.any_name(thing, language) for thing in range(len(self.things))]
        )

    def colour_embeddings(self, embed: Tensor) -> Tensor:
        chinese = self.random.random() < 0.5
        return self._mean_embeddings(embed, [self.random.choice(row[1]) if chinese else row[0] for row in COLOURS])

    @torch.no_grad()
    def all_names(self, model: nn.Module) -> Tensor:
        """(names, hidden): one name of each thing and colour, in both languages."""
        embed = model.model.language_model.embed_tokens.weight
        things = [self.name_embeddings(embed, language) for language in ("zh", "en")]
        return torch.cat([*things, self.colour_embeddings(embed)])

    def _mean_embeddings(self, embed: Tensor, words: list[str]) -> Tensor:
        ids = [self._pieces(name) for name in words]
        flat = torch.tensor([token for row in ids for token in row], device=embed.device)
        place = torch.tensor([row for row, tokens in enumerate(ids) for _ in tokens], device=embed.device)
        count = torch.tensor([len(row) for row in ids], device=embed.device)
        return (
            torch.zeros(len(ids), embed.shape[1], device=embed.device).index_add_(0, place, embed[flat])
            / count[:, None]
        )

    @cached_property
    def space(self) -> int:
        return self.tokenizer.encode(" ").ids[0]

    def judging_loss(
        self, model: nn.Module, tokens: Tensor, scene: Scene, queries: int, *, short: bool
    ) -> tuple[Tensor, float]:
        """Cross-entropy of yes and no against how well each scene answers its queries, and the share judged right."""
        questions = self._questions(scene, queries)
        grade = torch.tensor([question.grade for question in questions], device=tokens.device)
        gap = self._gap(model, tokens.repeat_interleave(queries, 0), questions, short=short)
        loss = F.binary_cross_entropy_with_logits(gap, grade) - _entropy(grade)
        return loss, ((gap > 0) == (grade > 0.5)).float().mean().item()

    def writing_loss(self, model: nn.Module, tokens: Tensor, scene: Scene, *, reasons: bool) -> Tensor:
        """Cross-entropy of the written answer, or without `reasons` of its score alone, which takes a fourth of the
        time. The score to write is the model's own yes/no judgement: what it cannot tell it could not learn to write.
        """
        language = self.random.choice(("zh", "en"))
        each = 1 if reasons else 4
        questions, shown = self._questions(scene, each, language), tokens.repeat_interleave(each, 0)
        with torch.no_grad():
            grades = torch.sigmoid(self._gap(model, shown, questions, short=False)).tolist()
        answers = [answer(question, grade) + "<|im_end|>" for question, grade in zip(questions, grades, strict=True)]
        if not reasons:
            answers = [whole[: whole.index("理由" if language == "zh" else " Reason")] for whole in answers]
        texts = [prompt_parts(question.query, f"generate_{language}") for question in questions]
        prefix, rows, starts = self._tokenised(texts, answers)
        hidden = self._read(model, prefix, rows, shown)
        targets = torch.full((len(rows), max(map(len, rows))), -100)
        for place, (row, start) in enumerate(zip(rows, starts, strict=True)):
            targets[place, start - 1 : len(row) - 1] = torch.tensor(row[start:])
        chosen = targets >= 0
        logits = model.lm_head(hidden[chosen.to(hidden.device)])
        weight = self._score_weight(targets)[chosen].to(hidden.device)
        loss = F.cross_entropy(logits.float(), targets[chosen].to(hidden.device), reduction="none")
        return (loss * weight).sum() / weight.sum()

    def _score_weight(self, targets: Tensor) -> Tensor:
        """Digits decide the ranking, so they count more than the words of the reason, and the first one most."""
        digit = torch.isin(targets, torch.tensor(self.digits))
        first = digit & (digit.cumsum(1) == 1)
        return 1.0 + 3.0 * digit + 12.0 * first

    @cached_property
    def digits(self) -> list[int]:
        return [self.tokenizer.encode(str(digit)).ids[0] for digit in range(10)]

    def _gap(self, model: nn.Module, tokens: Tensor, questions: list[Question], *, short: bool) -> Tensor:
        """(rows,) logit of yes less logit of no."""
        texts = [prompt_parts(question.query, "yes_no", short=short) for question in questions]
        prefix, rows, starts = self._tokenised(texts, [""] * len(texts))
        hidden = self._read(model, prefix, rows, tokens)
        last = hidden[torch.arange(len(rows)), torch.tensor(starts) - 1].float()
        yes, no = (model.lm_head.weight[self.tokenizer.token_to_id(word)].float() for word in ("yes", "no"))
        return last @ (yes - no)

    def _questions(self, scene: Scene, queries: int, language: str | None = None) -> list[Question]:
        questions = []
        for row in zip(
            scene.thing.tolist(),
            scene.second.tolist(),
            scene.background.tolist(),
            scene.tint.tolist(),
            scene.size.tolist(),
            strict=True,
        ):
            shown = Shown(*row)
            for _ in range(queries):
                spoken = language or self.random.choice(("zh", "en"))
                questions.append(self.teacher.ask(shown, spoken, right=self.random.random() < 0.42))
        return questions

    def _tokenised(
        self, texts: list[tuple[str, str]], answers: list[str]
    ) -> tuple[list[int], list[list[int]], list[int]]:
        """(shared prefix ids, ids of each row behind it, where each row's answer starts)."""
        whole = [before + "<|image_pad|>" * IMAGE_TOKENS + after for before, after in texts]
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(whole, add_special_tokens=False)]
        said = [encoding.ids for encoding in self.tokenizer.encode_batch(answers, add_special_tokens=False)]
        shared = 0
        while all(len(row) > shared + 20 and row[shared] == ids[0][shared] for row in ids):
            shared += 1
        return (
            ids[0][:shared],
            [row[shared:] + more for row, more in zip(ids, said, strict=True)],
            [len(row) - shared for row in ids],
        )

    def _read(self, model: nn.Module, prefix: list[int], rows: list[list[int]], tokens: Tensor) -> Tensor:
        longest = max(map(len, rows))
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=tokens.device)
        image = self.tokenizer.token_to_id("<|image_pad|>")
        embedded = model.model.language_model.embed_tokens(padded)
        placed = (padded == image)[:, :, None].expand_as(embedded)
        embedded = embedded.masked_scatter(placed, tokens.float())
        starts = [row.index(image) for row in rows]
        return read(
            model,
            torch.tensor(prefix, device=tokens.device),
            embedded,
            _positions(len(prefix), starts, longest).to(tokens.device),
        )

    def _words(self) -> list[str]:
        names = [name for thing in self.things for name in (*thing.english, *thing.chinese)]
        colours = [word for name, chinese, *_ in COLOURS for word in (name, *chinese)]
        categories = [word for pair in CATEGORIES.values() for word in pair]
        more = [word for language in ("zh", "en") for words in self.keywords[language] for word in words]
        return [*names, *colours, *categories, *ALL_WORDS, *names, *more]


def _entropy(grade: Tensor) -> Tensor:
    """What the cross-entropy cannot go below, taken off so that 0 means perfect."""
    return -(torch.xlogy(grade, grade) + torch.xlogy(1 - grade, 1 - grade)).mean()


def _positions(prefix: int, starts: list[int], length: int) -> Tensor:
    """(3, rows, length) multimodal rotary positions: text counts on, the picture counts rows and columns, then text
    goes on.
    """
    place = torch.arange(length)[None].expand(len(starts), -1)
    start = torch.tensor(starts)[:, None]
    inside = place - start
    picture = (inside >= 0) & (inside < IMAGE_TOKENS)
    after = place - IMAGE_TOKENS + SIDE
    text = torch.where(inside >= IMAGE_TOKENS, after, place)
    down, across = start + inside // SIDE, start + inside % SIDE
    return prefix + torch.stack([torch.where(picture, axis, text) for axis in (start.expand_as(place), down, across)])
