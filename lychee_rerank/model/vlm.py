"""One loaded vision-language model: answers about one image at a time, and computes nothing twice.

- All prompts of a ranking are the same up to the image, so that part is prefilled once into a KV cache. For each image
  only its tokens and the few tokens after it are computed, and the cache is cropped back.
- Image features are cached by the image's content, so a second query over the same images runs no vision tower.
- yes/no needs two rows of lm_head, not the whole vocabulary.
- Generated answers resemble each other, so the last one is the draft of the next (speculative decoding).

Scores and answers equal those of plain transformers: tests/model/test_vlm.py, tests/weights/test_families.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from cachetools import LRUCache
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from lychee_rerank.errors import ModelError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.model.cuda_graphs import MAX_DIFFERENCE, GraphCache, relative_difference, supports_cuda_graphs
from lychee_rerank.model.decoder import Decoder, DynamicDecoder, deepstack_kwargs
from lychee_rerank.model.image_cache import ImageFeatureCache
from lychee_rerank.model.mlp_padding import pad_mlps
from lychee_rerank.model.prompt_encoding import IMAGE_PAD, PromptEncoder
from lychee_rerank.model.prompt_prefix import PromptPrefix, text_positions
from lychee_rerank.model.rms_norm import fuse_norms, keep_sums_in_float32
from lychee_rerank.model.static_decoder import StaticDecoder
from lychee_rerank.model.torch_errors import translated_errors
from lychee_rerank.model.vision_tower import ImageFeatures, VisionTower
from lychee_rerank.text.prompts import Messages, yes_no_messages
from lychee_rerank.text.query import raw_query

_CACHED_PREFIXES = 16  # a query's and its conditions', some 6 MB each with a 7B

logger = logging.getLogger(__name__)


class VisionLanguageModel:
    """The ScoringBackend of a checkpoint loaded on this machine. Not thread-safe: `Reranker` calls it under a lock."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, image_processor: Any, chat_template: str | None) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.chat_template = chat_template
        self.threads: int | None = None  # of torch, on a CPU; None leaves them as they are
        self._language_model = model.model.language_model
        self._static_decoder: StaticDecoder | None = None
        self._embed = model.get_input_embeddings()
        self._device = self._embed.weight.device
        self._lm_head = model.get_output_embeddings()
        self._vision = VisionTower(model, image_processor)
        fuse_norms(model)
        keep_sums_in_float32(self._language_model, self._embed)
        self._prompts = PromptEncoder(tokenizer, chat_template)
        self._prefixes: LRUCache[str, PromptPrefix] = LRUCache(_CACHED_PREFIXES)
        self._image_features = ImageFeatureCache()
        # Not in a comprehension: in Python 3.11 its frame would keep `self` alive in the traceback of an error.
        self._yes_no_ids = [self._single_token_id("yes"), self._single_token_id("no")]
        self._eos_token_ids = _eos_token_ids(model, tokenizer)

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        """Softmax over the logits of yes and no as the next token. Raises OutOfMemoryError or ModelError."""
        with self._inference():
            prefix, features = self._get_prefix(messages), self._get_image_features(image)
            decoder = self._open_decoder(prefix, features)
            last_hidden = self._prefill(decoder, prefix, features, [])[:, -1]  # (1, hidden)
            decoder.crop(len(prefix.token_ids))
            rows = self._lm_head.weight[self._yes_no_ids].float()  # (2, hidden)
            logits = torch.nn.functional.linear(last_hidden.to(rows.device), rows)[0]
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
        with self._inference():
            prefix, features = self._get_prefix(messages), self._get_image_features(image)
            decoder = self._open_decoder(prefix, features, max_new_tokens)
            answer = self._speculative_greedy_decode(decoder, prefix, features, list(token_ids), stop, max_new_tokens)
            decoder.crop(len(prefix.token_ids))
            prefix.last_answer = answer
            finished = answer[-1] in self._eos_token_ids or len(answer) >= max_new_tokens
            return GenerationOutput(self._to_text(answer), tuple(answer), finished)

    def prefill(self, messages: Messages) -> None:
        """Prefill a prompt up to its image. Raises OutOfMemoryError or ModelError."""
        with self._inference():
            self._get_prefix(messages)

    def has_image_features(self, key: str) -> bool:
        """Whether the features of the image with this `LoadedImage.key` are cached."""
        return key in self._image_features

    def resize(self, image: Image.Image) -> Image.Image:
        """An image in the size that the vision tower takes. Thread-safe."""
        return self._vision.resize(image)

    def encode_image(self, image: PreparedImage) -> None:
        """Compute and cache an image's features ahead of any query. Raises OutOfMemoryError or ModelError."""
        with self._inference():
            self._get_image_features(image)

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Groups of images that are nearly the same, as positions in `keys`; see `ScoringBackend`."""
        return self._image_features.near_duplicates(keys)

    def clear_cache(self) -> None:
        """Drop cached prompts and image features."""
        self._prefixes.clear()
        self._image_features.clear()

    def enable_cuda_graphs(self, reserve_gib: float = 0.0) -> None:
        """Run passes as CUDA graphs from now on, if they compute the same and leave `reserve_gib` of the GPU free."""
        if not supports_cuda_graphs(self.model, reserve_gib):
            return
        pad_mlps(self.model.model.visual)
        with torch.inference_mode():
            expected = self._sample_passes()
            self._vision.graphs = GraphCache()
            self._static_decoder = StaticDecoder(self._language_model)
            try:
                difference = max(map(relative_difference, self._sample_passes(), expected))
                problem = f"they differ by {difference:.3f}" if difference > MAX_DIFFERENCE else ""
            except RuntimeError as error:  # a driver that cannot record, too little memory
                problem = str(error).partition("\n")[0]
        if problem:
            self._vision.graphs = self._static_decoder = None
            logger.warning("Scoring without CUDA graphs: %s", problem)

    @contextmanager
    def without_cuda_graphs(self) -> Iterator[None]:
        """To compare with, in the benchmark."""
        graphs = self._vision.graphs, self._static_decoder
        self._vision.graphs = self._static_decoder = None
        try:
            yield
        finally:
            self._vision.graphs, self._static_decoder = graphs

    @property
    def uses_cuda_graphs(self) -> bool:
        return self._static_decoder is not None

    def prompt_text(self, messages: Messages) -> str:
        """The whole prompt as the model reads it, with `<|image_pad|>` for the image."""
        return self._prompts.prompt_text(messages)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Around a pass. torch counts its threads for each thread that calls it, so they are set in the one scoring."""
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with translated_errors(self._prefixes.clear), torch.inference_mode():
            yield

    def _sample_passes(self) -> list[Tensor]:
        """What the vision tower, a prefill and a decoding step compute for one image and prompt."""
        prefix = self._get_prefix(yes_no_messages(raw_query("image")))
        features = self._vision(Image.linear_gradient("L").resize((384, 384)).convert("RGB"))
        decoder = self._open_decoder(prefix, features, max_new_tokens=1)
        prefill = self._prefill(decoder, prefix, features, [])
        decoding_step = self._decode(decoder, prefix, features, self._yes_no_ids[:1], start=0)
        decoder.crop(len(prefix.token_ids))
        return [features.tokens, prefill[:, -1], decoding_step]

    def _speculative_greedy_decode(
        self,
        decoder: Decoder,
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
        Invariant: before each draft the decoder holds prompt and answer, except for the answer's last token.
        """
        draft = self._draft_tokens(prefix, answer)
        hidden = self._prefill(decoder, prefix, features, answer + draft)
        while True:
            accepted = self._verify_draft(hidden[:, -len(draft) - 1 :], draft)
            for token_id in accepted:
                answer.append(token_id)
                if token_id in self._eos_token_ids or len(answer) >= max_new_tokens or stop(self._to_text(answer)):
                    return answer
            decoder.crop(decoder.length - (len(draft) + 1 - len(accepted)))
            # A draft that was wrong from its first token on is seldom right in the next.
            draft = [] if draft and len(accepted) == 1 else self._draft_tokens(prefix, answer)
            hidden = self._decode(decoder, prefix, features, [answer[-1], *draft], start=len(answer) - 1)

    def _draft_tokens(self, prefix: PromptPrefix, answer: list[int]) -> list[int]:
        """The last answer from the same index on, without end-of-sequence tokens."""
        return [token_id for token_id in prefix.last_answer[len(answer) :] if token_id not in self._eos_token_ids]

    def _verify_draft(self, hidden: Tensor, draft: list[int]) -> list[int]:
        """The draft's tokens that greedy decoding would have chosen too, and then the model's own next token.

        hidden: (1, len(draft) + 1, hidden); position i predicts draft[i], the last one what follows the draft.
        """
        predicted: list[int] = self._lm_head(hidden.to(self._lm_head.weight.dtype))[0].argmax(-1).tolist()
        agreed = next((i for i, token_id in enumerate(draft) if predicted[i] != token_id), len(draft))
        return predicted[: agreed + 1]

    def _prefill(self, decoder: Decoder, prefix: PromptPrefix, features: ImageFeatures, answer: list[int]) -> Tensor:
        """Hidden states (1, n + s + a, hidden) of n image tokens, the s suffix tokens of the prompt, and a tokens of an
        answer. The decoder must hold the prefix alone.
        """
        positions, answer_start = prefix.positions(features.grid)
        positions = torch.cat([positions, text_positions(answer_start, len(answer), self._device)], -1)
        text = self._embed_tokens(prefix.suffix_ids + answer)
        embeddings = torch.cat([features.tokens[None].to(text.device), text], 1)
        return decoder.forward(embeddings, positions, **deepstack_kwargs(features, embeddings))

    def _decode(
        self, decoder: Decoder, prefix: PromptPrefix, features: ImageFeatures, token_ids: list[int], *, start: int
    ) -> Tensor:
        """Hidden states (1, len(token_ids), hidden) of an answer's tokens from index `start` on."""
        _, answer_start = prefix.positions(features.grid)
        positions = text_positions(answer_start + start, len(token_ids), self._device)
        return decoder.forward(self._embed_tokens(token_ids), positions)

    def _embed_tokens(self, token_ids: list[int]) -> Tensor:
        embeddings: Tensor = self._embed(torch.tensor([token_ids], device=self._device))
        return embeddings.float()

    def _open_decoder(self, prefix: PromptPrefix, features: ImageFeatures, max_new_tokens: int = 0) -> Decoder:
        """A decoder that holds the prefix, with room for the image, the suffix and an answer."""
        count = len(prefix.token_ids) + len(features.tokens) + len(prefix.suffix_ids) + max_new_tokens
        if self._static_decoder is None or not self._static_decoder.has_room(count):
            return prefix.decoder
        self._static_decoder.load(prefix.decoder)
        return self._static_decoder

    def _get_prefix(self, messages: Messages) -> PromptPrefix:
        rendered = self._prompts.render_chat(messages)
        if rendered not in self._prefixes:
            self._prefixes[rendered] = self._prefill_prefix(rendered)
        return self._prefixes[rendered]

    def _prefill_prefix(self, rendered: str) -> PromptPrefix:
        """A new decoder that holds the prompt up to its image."""
        token_ids, suffix_ids = map(self._prompts.encode_prompt, rendered.split(IMAGE_PAD))
        decoder = DynamicDecoder(self._language_model, self.model.config)
        decoder.forward(self._embed_tokens(token_ids), text_positions(0, len(token_ids), self._device))
        return PromptPrefix(self.model, decoder, token_ids, suffix_ids)

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


def _eos_token_ids(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    token_ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token_id for token_id in (*token_ids, tokenizer.eos_token_id) if token_id is not None)
