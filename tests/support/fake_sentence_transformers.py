"""Stands for sentence-transformers 6.2 where that is not installed: its CrossEncoder computes the same scores from the
same messages, but by a few lines over transformers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForMultimodalLM, AutoProcessor


class Transformer:
    def __init__(
        self,
        model_name_or_path: str,
        *,
        transformer_task: str,
        model_kwargs: dict[str, Any],
        processing_kwargs: dict[str, dict[str, Any]],
    ) -> None:
        assert transformer_task == "any-to-any"
        self.model = AutoModelForMultimodalLM.from_pretrained(model_name_or_path, **model_kwargs).eval()
        self.processor = AutoProcessor.from_pretrained(model_name_or_path)
        self.processor.tokenizer.padding_side = "left"
        self.template_kwargs = processing_kwargs["chat_template"]

    def __call__(self, messages: list[Any]) -> Tensor:
        """Logits (batch, vocabulary) of the next token."""
        inputs = self.processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"padding": True, "return_tensors": "pt"},
            **self.template_kwargs,
        )
        logits: Tensor = self.model(**inputs.to(self.model.device)).logits[:, -1]
        return logits


class LogitScore:
    def __init__(self, true_token_id: int, false_token_id: int) -> None:
        self.token_ids = true_token_id, false_token_id


class CrossEncoder:
    def __init__(self, *, modules: Sequence[Any], device: str, activation_fn: Callable[[Tensor], Tensor]) -> None:
        self.transformer, self.score = modules
        self.transformer.model.to(device)
        self.activation_fn = activation_fn

    @torch.inference_mode()
    def predict(self, inputs: list[Any], *, batch_size: int, show_progress_bar: bool) -> Any:
        assert len(inputs) <= batch_size and not show_progress_bar
        logits = self.transformer(inputs)
        true_id, false_id = self.score.token_ids
        return self.activation_fn(logits[:, true_id] - logits[:, false_id]).numpy()


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stand-in importable as `sentence_transformers`."""
    names = {"": {"CrossEncoder": CrossEncoder}, ".base": {}, ".base.modules": {"Transformer": Transformer}}
    names |= {".cross_encoder": {}, ".cross_encoder.modules": {"LogitScore": LogitScore}}
    for suffix, contents in names.items():
        module = ModuleType(f"sentence_transformers{suffix}")
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, module.__name__, module)
