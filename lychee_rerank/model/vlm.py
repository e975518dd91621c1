"""One loaded vision-language model: reading a prompt once, seeing a image, answering. The only room that knows
torch tensors.

Nothing is computed twice. A prompt is the same for all pictures of a ranking up to the picture's place, so its prefix
is prefilled once into a KV cache; per picture the model computes the vision tower, the image tokens and the few tokens
behind them, and the cache is cropped back to the prefix. For yes/no only two rows of lm_head are used. Image tokens
are kept by the picture's content, so that a second query over the same pictures runs no vision tower. Every shortcut
gives the scores of the plain way, for every family (tests/test_model.py, tests/test_families.py).
"""

from __future__ import annotations

import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from lychee_rerank.errors import ModelError, OutOfMemoryError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.model.rms_norm import fuse_norms
from lychee_rerank.model.vision_tower import VisionTower
from lychee_rerank.text.prompts import Messages, insert_image

logger = logging.getLogger(__name__)

_PREFIXES_KEPT = 4
_IMAGE_BUDGET = 1024**3
_TYPED_CONTROL = "\ue000"  # marks a control token typed by a person while the prompt is put together


@dataclass
class PromptPrefix:
    """A prompt read up to the picture's place. `cache` holds exactly its `length` tokens between pictures."""

    cache: DynamicCache
    before: list[int]
    after: Tensor  # (1, n) ids behind the picture
    positions: dict[tuple[int, ...], tuple[Tensor, int]] = field(default_factory=dict)
    draft: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.before)


class VisionLanguageModel:
    """A loaded checkpoint that answers about one picture at a time. Not for several threads at once: the engine sees
    to that.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any, image_processor: Any, chat_template: str | None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.chat_template = chat_template
        self._language = model.model.language_model
        self._embed = model.get_input_embeddings()
        self._head = model.get_output_embeddings()
        self._vision = VisionTower(model, image_processor)
        fuse_norms(model)
        self._prefixes: OrderedDict[tuple[str, str], PromptPrefix] = OrderedDict()
        self._images = ImageFeatureCache(_IMAGE_BUDGET)
        self._special_token_ids = {
            token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        self._split = re.compile(
            "(" + "|".join(map(re.escape, sorted(self._special_token_ids, key=len, reverse=True))) + ")"
        )
        self._yes, self._no = self._single_token("yes"), self._single_token("no")
        self._stop_ids = _eos_token_ids(model, tokenizer)

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """Judge one picture with the yes/no protocol, in one forward pass. Raises OutOfMemoryError or ModelError."""
        with self._translated_errors(), torch.inference_mode():
            prefix = self._prefix(messages)
            hidden = self._prefill(prefix, image, [])[:, -1]
            self._reset_to_prefix(prefix)
            rows = self._head_rows
            pair = torch.nn.functional.linear(hidden.to(rows.device), rows).float()[0]
            probability = torch.softmax(pair, 0)[0].item()
            if math.isnan(probability):
                raise ValueError("its answer is not a number")
            return YesNoOutput(probability, "yes" if probability >= 0.5 else "no")

    def generate(
        self,
        messages: Messages,
        image: PreparedImage,
        *,
        stop: Callable[[str], bool],
        token_ids: tuple[int, ...] = (),
        max_new_tokens: int = 160,
    ) -> GenerationOutput:
        """Write an answer greedily, until `stop(text so far)`, the model's own end, or the limit on its length.

        `written` are token ids of an answer begun earlier; it is carried on exactly as if it had been written in one
        go. The answer before serves as a draft: as far as it agrees with what the model would write, one forward pass
        checks it whole; the text is the same as without. Raises OutOfMemoryError or ModelError.
        """
        with self._translated_errors(), torch.inference_mode():
            prefix = self._prefix(messages)
            ids = self._speculative_greedy_decode(prefix, image, list(token_ids), stop, max_new_tokens)
            self._reset_to_prefix(prefix)
            prefix.draft = ids
            finished = ids[-1] in self._stop_ids or len(ids) >= max_new_tokens
            return GenerationOutput(self._text(ids), tuple(ids), finished)

    def has_image_features(self, key: str) -> bool:
        """Whether the image tokens of this picture (its `key`) are kept."""
        return key in self._images

    def encode_image(self, image: PreparedImage) -> None:
        """Compute and keep a picture's image tokens ahead of any query."""
        with self._translated_errors(), torch.inference_mode():
            self._get_image_features(image)

    def clear_cache(self) -> None:
        """Drop kept prompts and image tokens."""
        self._prefixes.clear()
        self._images.clear()

    def prompt_text(self, messages: Messages) -> str:
        """The whole prompt as the model reads it, the picture's place as one `<|image_pad|>`."""
        return self.render_chat(messages).replace(_TYPED_CONTROL, "")

    @property
    def device_map(self) -> dict[str, Any]:
        return getattr(self.model, "hf_device_map", None) or {"": str(self.model.device)}

    def _speculative_greedy_decode(
        self, prefix: PromptPrefix, image: PreparedImage, ids: list[int], stop: Callable[[str], bool], limit: int
    ) -> list[int]:
        """Greedy decoding with drafting: every pass feeds the last known token and a guess, and keeps what the model
        agrees with.
        """
        guess = self._draft_tokens(prefix, ids)
        hidden = self._prefill(prefix, image, ids + guess)
        following = hidden[:, -len(guess) - 1 :]
        while True:
            agreed = self._verify_draft(following, guess)
            for token in agreed:
                ids.append(token)
                if token in self._stop_ids or len(ids) >= limit or stop(self._text(ids)):
                    return ids
            self._forget_tokens(prefix, len(guess) - len(agreed) + 1)
            guess = self._draft_tokens(prefix, ids)
            following = self._decode(prefix, image, [ids[-1], *guess], len(ids) - 1)

    def _draft_tokens(self, prefix: PromptPrefix, ids: list[int]) -> list[int]:
        """The rest of the answer before, from the same place on, without its end."""
        return [token for token in prefix.draft[len(ids) :] if token not in self._stop_ids]

    def _verify_draft(self, following: Tensor, guess: list[int]) -> list[int]:
        """The guessed tokens the model would have written too, and the first one that it writes itself."""
        wanted: list[int] = self._head(following)[0].argmax(-1).tolist()
        same = next((place for place, token in enumerate(guess) if wanted[place] != token), len(guess))
        return wanted[: same + 1]

    def _prefill(self, prefix: PromptPrefix, image: PreparedImage, ids: list[int]) -> Tensor:
        """Hidden states (1, n, hidden) of image tokens, the prompt's rest and `ids`, behind the cached prefix."""
        tokens, grid = self._get_image_features(image)
        positions, following = self._mrope_positions(prefix, grid)
        positions = torch.cat([positions, _text_positions(following, len(ids), positions)], -1)
        rest = torch.cat([prefix.after, torch.tensor([ids], dtype=torch.long, device=prefix.after.device)], 1)
        embedded = torch.cat([tokens[:1].to(self._embed.weight.device), self._embed(rest)], 1)
        return self._forward(prefix, embedded, positions, _deepstack_kwargs(tokens, embedded))

    def _decode(self, prefix: PromptPrefix, image: PreparedImage, ids: list[int], token_ids: int) -> Tensor:
        _, following = self._mrope_positions(prefix, self._get_image_features(image)[1])
        embedded = self._embed(torch.tensor([ids], device=prefix.after.device))
        return self._forward(prefix, embedded, _text_positions(following + token_ids, len(ids), prefix.after))

    def _forward(
        self, prefix: PromptPrefix, embedded: Tensor, positions: Tensor, added: Mapping[str, Any] | None = None
    ) -> Tensor:
        output = self._language(
            inputs_embeds=embedded,
            position_ids=positions,
            past_key_values=prefix.cache,
            use_cache=True,
            **(added or {}),
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _reset_to_prefix(self, prefix: PromptPrefix) -> None:
        self._forget_tokens(prefix, prefix.cache.get_seq_length() - prefix.length)

    def _forget_tokens(self, prefix: PromptPrefix, count: int) -> None:
        if count > 0:
            prefix.cache.crop(-count)

    def _prefix(self, messages: Messages) -> PromptPrefix:
        """The prompt prefilled up to the image, from the last few that were used."""
        rendered = self.render_chat(messages)
        before, after = rendered.split("<|image_pad|>")
        key = (before, after)
        if key not in self._prefixes:
            while len(self._prefixes) >= _PREFIXES_KEPT:
                self._prefixes.popitem(last=False)
            self._prefixes[key] = self._prefill_prefix(before, after)
        self._prefixes.move_to_end(key)
        return self._prefixes[key]

    def _prefill_prefix(self, before: str, after: str) -> PromptPrefix:
        device = self._embed.weight.device
        ids = self.encode_prompt(before)
        cache = DynamicCache(config=self.model.config)
        prefix = PromptPrefix(cache, ids, torch.tensor([self.encode_prompt(after)], device=device))
        self._forward(
            prefix, self._embed(torch.tensor([ids], device=device)), _text_positions(0, len(ids), prefix.after)
        )
        return prefix

    def render_chat(self, messages: Messages) -> str:
        """The chat template over the messages; control tokens inside their texts are marked as typed."""
        marked = [
            {**message, "content": [self.escape_special_tokens(part) for part in message["content"]]}
            for message in messages
        ]
        return str(
            self.tokenizer.apply_chat_template(
                marked, chat_template=self.chat_template, tokenize=False, add_generation_prompt=True
            )
        )

    def escape_special_tokens(self, part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] != "text":
            return part
        text = part["text"].replace(_TYPED_CONTROL, "")
        return {**part, "text": self._split.sub(lambda match: match[0][0] + _TYPED_CONTROL + match[0][1:], text)}

    def encode_prompt(self, text: str) -> list[int]:
        """As the tokenizer reads it, except that control tokens typed by a person are plain text."""
        ids: list[int] = []
        for piece in filter(None, self._split.split(text)):
            plain = piece.replace(_TYPED_CONTROL, "")
            known = self._special_token_ids.get(piece)
            ids += (
                [known]
                if known is not None
                else self.tokenizer.encode(plain, add_special_tokens=False, split_special_tokens=True)
            )
        return ids

    def _mrope_positions(self, prefix: PromptPrefix, grid: Tensor) -> tuple[Tensor, int]:
        """Multimodal rotary positions (3, 1, n) of image tokens and prompt rest, and the position of the first written
        token.
        """
        shape = tuple(grid[0].tolist())
        if shape not in prefix.positions:
            image = self.model.config.image_token_id
            count = int(grid.prod()) // self._vision.patches_per_token
            ids = torch.tensor([[*prefix.before, *[image] * count, *prefix.after[0].tolist()]])
            found, _ = self.model.model.get_rope_index(ids, mm_token_type_ids=(ids == image).int(), image_grid_thw=grid)
            here = found[:, :, prefix.length :].to(prefix.after.device)
            prefix.positions[shape] = here, int(found.max()) + 1
        return prefix.positions[shape]

    def _get_image_features(self, image: PreparedImage) -> tuple[Tensor, Tensor]:
        """A picture's image tokens and grid, as `VisionTower` gives them, kept by the picture's content."""
        key = image.key
        if key in self._images:
            return self._images[key]
        tokens, grid = self._vision(insert_image([{"role": "user", "content": [{"type": "image"}]}], image.image))
        if key:
            self._images[key] = tokens.to("cpu"), grid
        return tokens, grid

    @property
    def _head_rows(self) -> Tensor:
        rows: Tensor = self._head.weight[[self._yes, self._no]]
        return rows

    def _single_token(self, word: str) -> int:
        ids = self.tokenizer.encode(word, add_special_tokens=False)
        if len(ids) != 1:
            raise ModelError(
                f'The checkpoint\'s vocabulary does not hold "{word}" as one piece, so it cannot judge yes or no.'
            )
        return int(ids[0])

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """A pass that failed half-way may leave a cache too long, so kept prompts are read anew after it."""
        try:
            yield
        except (RuntimeError, ValueError, IndexError) as error:
            self._prefixes.clear()
            raise _to_model_error(error) from error


def _to_model_error(error: Exception) -> ModelError:
    """What went wrong, in words that can follow a colon."""
    words = str(error).partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in words:
        return OutOfMemoryError("The device ran out of memory while scoring a image.")
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in words:
        return ModelError(f"the GPU stopped answering ({words}); nothing more can be scored until the app is restarted")
    return ModelError(words)


class ImageFeatureCache:
    """Image tokens and grids by image, in host memory, oldest out once `budget` bytes are full.

    A picture takes 1.4 MB with a Qwen2.5-VL-7B, so the default of 1 GiB holds some 700; 4.7 MB with a Qwen3-VL-8B.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.size = budget, 0
        self._kept: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, key: str) -> tuple[Tensor, Tensor]:
        self._kept.move_to_end(key)
        return self._kept[key]

    def __setitem__(self, key: str, value: tuple[Tensor, Tensor]) -> None:
        self._kept[key] = value
        self.size += value[0].nbytes
        while self.size > self.budget and len(self._kept) > 1:
            self.size -= self._kept.popitem(last=False)[1][0].nbytes

    def clear(self) -> None:
        self._kept.clear()
        self.size = 0


def _deepstack_kwargs(tokens: Tensor, embedded: Tensor) -> dict[str, Any]:
    """What the first decoder blocks add to the image tokens, which stand first in `embedded`; {} for most families."""
    if len(tokens) == 1:
        return {}
    image = torch.arange(embedded.shape[1], device=embedded.device) < tokens.shape[1]
    return {"visual_pos_masks": image[None], "deepstack_visual_embeds": list(tokens[1:])}


def _text_positions(start: int, count: int, like: Tensor) -> Tensor:
    """Positions (3, 1, count) of plain text from `start` on."""
    return torch.arange(start, start + count, device=like.device).expand(3, 1, -1)


def _eos_token_ids(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
