"""One loaded vision-language model: answers about one image at a time, and computes nothing twice.

- All prompts of a ranking are the same up to the image, so that part is prefilled once into a KV cache. For each image
  only its tokens and the few tokens after it are computed, and the cache is cropped back.
- Image features are cached by the image's content, so a second query over the same images runs no vision tower.
- yes/no needs two rows of lm_head, not the whole vocabulary.
- Generated answers resemble each other, so the last one is the draft of the next (speculative decoding).

Scores and answers equal those of plain transformers: tests/model/test_vlm.py, tests/weights/test_families.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from lychee_rerank.errors import ModelError, OutOfMemoryError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.model.image_cache import ImageFeatureCache
from lychee_rerank.model.prompt_encoding import IMAGE_PAD, PromptEncoder
from lychee_rerank.model.rms_norm import fuse_norms
from lychee_rerank.model.vision_tower import ImageFeatures, VisionTower
from lychee_rerank.text.prompts import Messages

_CACHED_PREFIXES = 4


@dataclass
class PromptPrefix:
    """A prompt, prefilled up to its image. Invariant: between images `cache` holds exactly `token_ids`.

    token_ids: the tokens before the image. suffix_ids: those after it.
    positions: what `_mrope_positions` returns, by grid.
    last_answer: token ids of the last answer to this prompt, the draft of the next one.
    """

    cache: DynamicCache
    token_ids: list[int]
    suffix_ids: list[int]
    positions: dict[tuple[int, ...], tuple[Tensor, int]] = field(default_factory=dict)
    last_answer: list[int] = field(default_factory=list)


class VisionLanguageModel:
    """The ScoringBackend of a checkpoint loaded on this machine. Not thread-safe: `Reranker` calls it under a lock."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, image_processor: Any, chat_template: str | None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.chat_template = chat_template
        self._decoder = model.model.language_model
        self._embed = model.get_input_embeddings()
        self._device = self._embed.weight.device
        self._lm_head = model.get_output_embeddings()
        self._vision = VisionTower(model, image_processor)
        fuse_norms(model)
        self._prompts = PromptEncoder(tokenizer, chat_template)
        self._prefixes: LRUCache[str, PromptPrefix] = LRUCache(_CACHED_PREFIXES)
        self._image_features = ImageFeatureCache()
        # Not in a comprehension: in Python 3.11 its frame would keep `self` alive in the traceback of an error.
        self._yes_no_ids = [self._single_token_id("yes"), self._single_token_id("no")]
        self._eos_token_ids = _eos_token_ids(model, tokenizer)

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """Softmax over the logits of yes and no as the next token. Raises OutOfMemoryError or ModelError."""
        with self._translated_errors(), torch.inference_mode():
            prefix = self._get_prefix(messages)
            last_hidden = self._prefill(prefix, self._get_image_features(image), [])[:, -1]  # (1, hidden)
            self._reset_to_prefix(prefix)
            rows = self._lm_head.weight[self._yes_no_ids]  # (2, hidden)
            logits = torch.nn.functional.linear(last_hidden.to(rows.device), rows).float()[0]
            probability = torch.softmax(logits, 0)[0].item()
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
        """A greedy answer, or the rest of one; see `ScoringBackend`. Raises OutOfMemoryError or ModelError."""
        with self._translated_errors(), torch.inference_mode():
            prefix = self._get_prefix(messages)
            features = self._get_image_features(image)
            answer = self._speculative_greedy_decode(prefix, features, list(token_ids), stop, max_new_tokens)
            self._reset_to_prefix(prefix)
            prefix.last_answer = answer
            finished = answer[-1] in self._eos_token_ids or len(answer) >= max_new_tokens
            return GenerationOutput(self._to_text(answer), tuple(answer), finished)

    def has_image_features(self, key: str) -> bool:
        """Whether the features of the image with this `LoadedImage.key` are cached."""
        return key in self._image_features

    def encode_image(self, image: PreparedImage) -> None:
        """Compute and cache an image's features ahead of any query. Raises OutOfMemoryError or ModelError."""
        with self._translated_errors(), torch.inference_mode():
            self._get_image_features(image)

    def clear_cache(self) -> None:
        """Drop cached prompts and image features."""
        self._prefixes.clear()
        self._image_features.clear()

    def prompt_text(self, messages: Messages) -> str:
        """The whole prompt as the model reads it, with `<|image_pad|>` for the image."""
        return self._prompts.prompt_text(messages)

    def _speculative_greedy_decode(
        self,
        prefix: PromptPrefix,
        features: ImageFeatures,
        answer: list[int],
        stop: Callable[[str], bool],
        max_new_tokens: int,
    ) -> list[int]:
        """Extend `answer` token by token; one forward pass may yield several tokens.

        Every pass feeds a draft and accepts it up to the first token that greedy decoding would not have chosen; there
        the model's own choice follows. So the output equals token-by-token argmax (arXiv 2211.17192 at temperature 0;
        assisted decoding in transformers/generation/utils.py).
        Invariant: before each draft the cache holds prompt and answer, except for the answer's last token.
        """
        draft = self._draft_tokens(prefix, answer)
        hidden = self._prefill(prefix, features, answer + draft)
        while True:
            accepted = self._verify_draft(hidden[:, -len(draft) - 1 :], draft)
            for token_id in accepted:
                answer.append(token_id)
                if token_id in self._eos_token_ids or len(answer) >= max_new_tokens or stop(self._to_text(answer)):
                    return answer
            rejected = len(draft) + 1 - len(accepted)
            if rejected:
                prefix.cache.crop(-rejected)
            draft = self._draft_tokens(prefix, answer)
            hidden = self._decode(prefix, features, [answer[-1], *draft], start=len(answer) - 1)

    def _draft_tokens(self, prefix: PromptPrefix, answer: list[int]) -> list[int]:
        """The last answer from the same index on, without end-of-sequence tokens."""
        return [token_id for token_id in prefix.last_answer[len(answer) :] if token_id not in self._eos_token_ids]

    def _verify_draft(self, hidden: Tensor, draft: list[int]) -> list[int]:
        """The draft's tokens that greedy decoding would have chosen too, and then the model's own next token.

        hidden: (1, len(draft) + 1, hidden); position i predicts draft[i], the last one what follows the draft.
        """
        predicted: list[int] = self._lm_head(hidden)[0].argmax(-1).tolist()
        agreed = next((i for i, token_id in enumerate(draft) if predicted[i] != token_id), len(draft))
        return predicted[: agreed + 1]

    def _prefill(self, prefix: PromptPrefix, features: ImageFeatures, answer: list[int]) -> Tensor:
        """Hidden states (1, n + s + a, hidden) of n image tokens, the s suffix tokens of the prompt, and a tokens of an
        answer. The cache must hold the prefix alone.
        """
        positions, answer_start = self._mrope_positions(prefix, features.grid)
        positions = torch.cat([positions, _text_positions(answer_start, len(answer), self._device)], -1)
        text = self._embed_tokens(prefix.suffix_ids + answer)
        embeddings = torch.cat([features.tokens[None].to(text.device), text], 1)
        return self._forward(prefix, embeddings, positions, **_deepstack_kwargs(features, embeddings))

    def _decode(self, prefix: PromptPrefix, features: ImageFeatures, token_ids: list[int], *, start: int) -> Tensor:
        """Hidden states (1, len(token_ids), hidden) of an answer's tokens from index `start` on."""
        _, answer_start = self._mrope_positions(prefix, features.grid)
        positions = _text_positions(answer_start + start, len(token_ids), self._device)
        return self._forward(prefix, self._embed_tokens(token_ids), positions)

    def _embed_tokens(self, token_ids: list[int]) -> Tensor:
        embeddings: Tensor = self._embed(torch.tensor([token_ids], device=self._device))
        return embeddings

    def _forward(self, prefix: PromptPrefix, embeddings: Tensor, positions: Tensor, **deepstack: Any) -> Tensor:
        """Hidden states (1, n, hidden) of embeddings (1, n, hidden) at positions (3, 1, n); the cache grows by n."""
        hidden: Tensor = self._decoder(
            inputs_embeds=embeddings, position_ids=positions, past_key_values=prefix.cache, use_cache=True, **deepstack
        ).last_hidden_state
        return hidden

    def _reset_to_prefix(self, prefix: PromptPrefix) -> None:
        prefix.cache.crop(len(prefix.token_ids) - prefix.cache.get_seq_length())

    def _get_prefix(self, messages: Messages) -> PromptPrefix:
        rendered = self._prompts.render_chat(messages)
        if rendered not in self._prefixes:
            self._prefixes[rendered] = self._prefill_prefix(rendered)
        return self._prefixes[rendered]

    def _prefill_prefix(self, rendered: str) -> PromptPrefix:
        """A new cache that holds the prompt up to its image."""
        token_ids, suffix_ids = map(self._prompts.encode_prompt, rendered.split(IMAGE_PAD))
        prefix = PromptPrefix(DynamicCache(config=self.model.config), token_ids, suffix_ids)
        self._forward(prefix, self._embed_tokens(token_ids), _text_positions(0, len(token_ids), self._device))
        return prefix

    def _mrope_positions(self, prefix: PromptPrefix, grid: Tensor) -> tuple[Tensor, int]:
        """Multimodal rotary positions (3, 1, n + s) of n image tokens and s suffix tokens, and the answer's first.

        From the model's own `get_rope_index`, for which the whole prompt is put together, and cached: they depend on
        prompt and grid alone. An image advances positions by its longer side, not by n.
        """
        shape = tuple(grid[0].tolist())
        if shape not in prefix.positions:
            image_token_id = self.model.config.image_token_id
            image_ids = [image_token_id] * (int(grid.prod()) // self._vision.patches_per_token)
            token_ids = torch.tensor([prefix.token_ids + image_ids + prefix.suffix_ids])
            is_image = (token_ids == image_token_id).int()
            positions, _ = self.model.model.get_rope_index(token_ids, mm_token_type_ids=is_image, image_grid_thw=grid)
            after_prefix = positions[:, :, len(prefix.token_ids) :].to(self._device)
            prefix.positions[shape] = after_prefix, int(positions.max()) + 1
        return prefix.positions[shape]

    def _get_image_features(self, image: PreparedImage) -> ImageFeatures:
        """From the cache, else from the vision tower; an image without a key is not cached."""
        features = self._image_features.get(image.key)
        if features is None:
            features = self._vision(image.image)
            if image.key:
                self._image_features[image.key] = features
        return features

    def _single_token_id(self, word: str) -> int:
        token_ids = self.tokenizer.encode(word, add_special_tokens=False)
        if len(token_ids) != 1:
            raise ModelError(
                f'The checkpoint\'s vocabulary does not hold "{word}" as one piece, so it cannot judge yes or no.'
            )
        return int(token_ids[0])

    def _to_text(self, token_ids: list[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True))

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """torch's errors as ModelError. A pass that fails may leave a KV cache too long, so prefixes are dropped."""
        try:
            yield
        except (RuntimeError, ValueError, IndexError) as error:
            self._prefixes.clear()
            raise _to_model_error(error) from error


def _to_model_error(error: Exception) -> ModelError:
    reason = str(error).partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in reason:
        return OutOfMemoryError("The device ran out of memory while scoring a picture.")
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in reason:
        return ModelError(
            f"the GPU stopped answering ({reason}); nothing more can be scored until the app is restarted"
        )
    return ModelError(reason)


def _deepstack_kwargs(features: ImageFeatures, embeddings: Tensor) -> dict[str, Any]:
    """How the decoder takes `features.deepstack`; {} where there is none. Image tokens come first in `embeddings`."""
    if not features.deepstack:
        return {}
    is_image = torch.arange(embeddings.shape[1], device=embeddings.device) < len(features.tokens)
    return {"visual_pos_masks": is_image[None], "deepstack_visual_embeds": list(features.deepstack)}


def _text_positions(start: int, count: int, device: torch.device) -> Tensor:
    """Positions (3, 1, count) of text from `start` on: the same in time, height and width."""
    return torch.arange(start, start + count, device=device).expand(3, 1, -1)


def _eos_token_ids(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    token_ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token_id for token_id in (*token_ids, tokenizer.eos_token_id) if token_id is not None)
