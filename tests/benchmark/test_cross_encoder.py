"""The peer gives the scores of plain transformers. Where sentence-transformers is not installed, a stand-in is used."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.bench import QUERIES
from lychee_rerank.benchmark.cross_encoder import CrossEncoderPeer
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.errors import ModelError
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.weights.locate import DEMO_FOLDER
from support import fake_sentence_transformers


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return load_model(DEMO_FOLDER, dtype="float32", device_map="cpu")[0]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_it_gives_the_scores_of_plain_transformers(
    batch_size: int, model: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("sentence_transformers") is None:
        fake_sentence_transformers.install(monkeypatch)
    files = list(random_photos(3))
    with TransformersBaseline(model, "yes_no", 1) as baseline:
        expected = [10 * float(probability) for probability in baseline.stream(QUERIES[0], files)]
    scores = list(CrossEncoderPeer(DEMO_FOLDER, model).stream(QUERIES[0], files, batch_size))
    assert scores == pytest.approx(expected, abs=1e-4)


def test_where_it_is_not_installed_that_is_said(model: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelError, match="not installed"):
        CrossEncoderPeer(DEMO_FOLDER, model)
