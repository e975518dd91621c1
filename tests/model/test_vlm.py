"""Scores and answers equal the published protocol, whatever is cached, drafted or interleaved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import torch

from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore, ScoringMethod
from lychee_rerank.text.prompts import generate_messages, yes_no_messages
from lychee_rerank.text.query import normalize_query
from lychee_rerank.weights.locate import Checkpoint
from support.images import encode, patchwork
from support.published_protocol import PublishedProtocol

QUERIES = ("红色的猫", "a blue dog on sand", "红色 dress")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VisionLanguageModel:
    return load_model(checkpoint, dtype="float32", device_map="cpu")[0]


@pytest.fixture(scope="module")
def reranker(model: VisionLanguageModel, checkpoint: Path) -> Reranker:
    return Reranker(model, checkpoint=Checkpoint(checkpoint, "small", "argument"))


@pytest.fixture(scope="module")
def protocol(checkpoint: Path) -> PublishedProtocol:
    return PublishedProtocol(checkpoint)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [encode(patchwork(seed, 480 + 40 * seed)) for seed in range(3)]


def scored(
    reranker: Reranker, query: str, images: list[bytes], method: ScoringMethod = "yes_no", **options: object
) -> list[ImageScore]:
    return list(reranker.stream(query, images, options=ScoringOptions(method, **options)))  # type: ignore[arg-type]


@contextmanager
def counting(module: torch.nn.Module) -> Iterator[list[None]]:
    """The list grows by one with every forward pass of the module."""
    passes: list[None] = []
    hook = module.register_forward_hook(lambda *_: passes.append(None))
    yield passes
    hook.remove()


def test_yes_no_equals_the_published_protocol_over_many_queries(
    reranker: Reranker, protocol: PublishedProtocol, images: list[bytes]
) -> None:
    for query in (*QUERIES, QUERIES[0]):
        for result, image in zip(scored(reranker, query, images), images, strict=True):
            expected = protocol.probability(query, load_image(image).image)
            assert result.probability == pytest.approx(expected, abs=1e-4)
            assert result.score == pytest.approx(10 * expected, abs=1e-3)


def test_the_scores_of_different_images_differ(reranker: Reranker, images: list[bytes]) -> None:
    assert len({round(result.score, 3) for result in scored(reranker, "猫", images)}) == len(images)


def test_whole_images_of_any_shape_equal_the_published_protocol(
    reranker: Reranker, protocol: PublishedProtocol
) -> None:
    shapes = [(900, 300), (300, 900), (640, 480), (384, 384)]
    images = [encode(patchwork(seed, *shape)) for seed, shape in enumerate(shapes)]
    for result, image in zip(scored(reranker, "猫", images, fit="whole"), images, strict=True):
        expected = protocol.probability("猫", load_image(image, fit="whole").image)
        assert result.probability == pytest.approx(expected, abs=1e-4)


def test_interleaved_runs_and_alternating_methods_do_not_touch_each_other(
    reranker: Reranker, images: list[bytes]
) -> None:
    alone = [[result.score for result in scored(reranker, query, images)] for query in QUERIES[:2]]
    first, second = (reranker.stream(query, images, options=ScoringOptions("yes_no")) for query in QUERIES[:2])
    generated = reranker.stream(QUERIES[0], images, options=ScoringOptions("generate"))
    rounds = list(zip(first, second, generated, strict=True))
    assert [result.score for result, _, _ in rounds] == pytest.approx(alone[0], abs=1e-3)
    assert [result.score for _, result, _ in rounds] == pytest.approx(alone[1], abs=1e-3)


def test_two_rankings_in_two_threads_do_not_touch_each_other(reranker: Reranker, images: list[bytes]) -> None:
    alone = [[result.score for result in scored(reranker, query, images)] for query in QUERIES[:2]]
    with ThreadPoolExecutor(2) as pool:
        concurrent = pool.map(lambda query: [r.score for r in scored(reranker, query, images * 3)], QUERIES[:2])
    for once, thrice in zip(alone, concurrent, strict=True):
        assert thrice == pytest.approx(once * 3, abs=1e-3)


def test_explaining_gives_the_answer_that_plain_transformers_generates_in_one_go(
    reranker: Reranker, protocol: PublishedProtocol, images: list[bytes]
) -> None:
    for query in QUERIES[:2]:
        for result, image in zip(scored(reranker, query, images, "generate"), images, strict=True):
            explained = reranker.explain(query, result, image)
            assert explained.answer == protocol.answer(query, load_image(image).image, 160)
            assert explained.answer.startswith(result.answer)
            assert (explained.score, explained.finished) == (result.score, True)


def never(_answer: str) -> bool:
    return False


def after(tokens: int) -> Callable[[str], bool]:
    """A stop condition that holds at its call number `tokens`; it is called once for every token."""
    calls = count(1)
    return lambda _answer: next(calls) >= tokens


def test_a_draft_of_any_kind_leaves_the_answer_as_it_is(model: VisionLanguageModel, images: list[bytes]) -> None:
    messages, image = generate_messages(normalize_query("猫")), load_image(images[0])
    model.clear_cache()
    expected = model.generate(messages, image, stop=never, max_new_tokens=12).token_ids
    for wrong_from in (0, 1, 5, 11, 12):
        prefix = model._get_prefix(messages)
        prefix.last_answer = [*expected[:wrong_from], *(token_id + 1 for token_id in expected[wrong_from:]), 5, 6]
        assert model.generate(messages, image, stop=never, max_new_tokens=12).token_ids == expected


def test_a_draft_that_is_right_takes_one_pass(model: VisionLanguageModel, images: list[bytes]) -> None:
    messages, image = generate_messages(normalize_query("猫")), load_image(images[0])
    expected = model.generate(messages, image, stop=never, max_new_tokens=12)
    with counting(model.model.model.language_model) as passes:
        assert model.generate(messages, image, stop=never, max_new_tokens=12) == expected
    assert len(passes) == 1


def test_a_stopped_answer_continues_as_if_generated_in_one_go(model: VisionLanguageModel, images: list[bytes]) -> None:
    messages, image = generate_messages(normalize_query("猫")), load_image(images[1])
    whole = model.generate(messages, image, stop=never, max_new_tokens=12)
    start = model.generate(messages, image, stop=after(5), max_new_tokens=12)
    assert (start.token_ids, start.finished) == (whole.token_ids[:5], False)
    model.clear_cache()
    assert model.generate(messages, image, stop=never, token_ids=start.token_ids, max_new_tokens=12) == whole


def test_between_images_the_kv_cache_holds_the_prefix_alone(model: VisionLanguageModel, images: list[bytes]) -> None:
    for messages in (yes_no_messages(normalize_query("猫")), generate_messages(normalize_query("猫"))):
        model.score_yes_no(messages, load_image(images[0]))
        model.generate(messages, load_image(images[1]), stop=never, max_new_tokens=5)
        prefix = model._get_prefix(messages)
        assert prefix.decoder.length == len(prefix.token_ids) > 0


def test_a_second_query_runs_no_vision_tower(
    reranker: Reranker, model: VisionLanguageModel, images: list[bytes]
) -> None:
    before = [result.score for result in scored(reranker, "猫", images)]
    with counting(model.model.model.visual) as passes:
        assert [result.score for result in scored(reranker, "猫", images)] == pytest.approx(before, abs=1e-6)
    assert not passes


def test_an_image_without_a_key_is_encoded_once_for_its_whole_answer(model: VisionLanguageModel) -> None:
    image = LoadedImage("no key", patchwork(1), (480, 360))
    with counting(model.model.model.visual) as passes:
        model.generate(generate_messages(normalize_query("dog")), image, stop=never, max_new_tokens=6)
    assert len(passes) == 1
    assert not model.has_image_features("")
