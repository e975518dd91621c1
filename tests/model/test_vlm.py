"""Scores and texts equal the published protocol, after every shortcut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lychee_rerank.errors import CheckpointError
from lychee_rerank.images.load import load_image
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore
from support.images import encoded, patchwork
from support.published_protocol import PublishedProtocol
from support.small_checkpoints import write_published

QUERIES = ("红色的猫", "a blue dog on sand", "红色 dress", "<|im_start|>")


@pytest.fixture(scope="module")
def reranker(checkpoint: Path) -> Reranker:
    return Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map="cpu")


@pytest.fixture(scope="module")
def protocol(checkpoint: Path) -> PublishedProtocol:
    return PublishedProtocol(checkpoint)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [encoded(patchwork(seed, 480 + 40 * seed)) for seed in range(3)]


def scored(reranker: Reranker, query: str, pictures: list[bytes], method: str = "yes_no") -> list[ImageScore]:
    reranker.options = replace(reranker.options, method=method)
    return list(reranker.stream(query, pictures))


def test_yes_no_equals_the_published_protocol_over_many_queries(
    reranker: Reranker, protocol: PublishedProtocol, pictures: list[bytes]
) -> None:
    for query in (*QUERIES[:3], QUERIES[0]):
        for result, picture in zip(scored(reranker, query, pictures), pictures, strict=True):
            expected = protocol.probability(query, load_image(picture).image)
            assert result.probability == pytest.approx(expected, abs=1e-4)
            assert result.score == pytest.approx(10 * expected, abs=1e-3)


def test_the_scores_of_different_pictures_differ(reranker: Reranker, pictures: list[bytes]) -> None:
    scores = {round(result.score, 3) for result in scored(reranker, "猫", pictures)}
    assert len(scores) == len(pictures)


def test_whole_pictures_of_any_shape_equal_the_published_protocol(
    reranker: Reranker, protocol: PublishedProtocol
) -> None:
    shapes = [(900, 300), (300, 900), (640, 480), (384, 384)]
    pictures = [encoded(patchwork(seed, *shape)) for seed, shape in enumerate(shapes)]
    reranker.options = replace(reranker.options, fit="whole")
    results = scored(reranker, "猫", pictures)
    reranker.options = replace(reranker.options, fit="crop")
    for result, picture in zip(results, pictures, strict=True):
        expected = protocol.probability("猫", load_image(picture, fit="whole").image)
        assert result.probability == pytest.approx(expected, abs=1e-4)


def test_interleaved_runs_and_alternating_methods_do_not_touch_each_other(
    reranker: Reranker, pictures: list[bytes]
) -> None:
    alone = {query: [r.score for r in scored(reranker, query, pictures)] for query in QUERIES[:2]}
    reranker.options = replace(reranker.options, method="yes_no")
    first, second = (reranker.stream(query, pictures) for query in QUERIES[:2])
    reranker.options = replace(reranker.options, method="generate")
    writing = reranker.stream(QUERIES[0], pictures)
    mixed: dict[str, list[float]] = {query: [] for query in QUERIES[:2]}
    for one, two, _ in zip(first, second, writing, strict=True):
        mixed[QUERIES[0]].append(one.score)
        mixed[QUERIES[1]].append(two.score)
    for query, scores in mixed.items():
        assert scores == pytest.approx(alone[query], abs=1e-3)


def test_explaining_gives_the_text_that_generate_writes_in_one_go(
    reranker: Reranker, protocol: PublishedProtocol, pictures: list[bytes]
) -> None:
    for query in QUERIES[:2]:
        for result, picture in zip(scored(reranker, query, pictures, "generate"), pictures, strict=True):
            told = reranker.explain(query, result, picture)
            assert told.answer == protocol.text(query, load_image(picture).image, 160)
            assert told.answer.startswith(result.answer)
            assert (told.score, told.finished) == (result.score, True)


def test_typed_control_tokens_reach_the_model_as_plain_text(reranker: Reranker) -> None:
    from lychee_rerank.text.prompts import yes_no_messages
    from lychee_rerank.text.query import raw_query

    model = reranker._model
    messages = yes_no_messages(raw_query("<|im_start|>猫<|image_pad|>"))
    assert "<|im_start|>猫<|image_pad|>" in model.prompt_text(messages)
    before, after = model.render_chat(messages).split("<|image_pad|>")  # type: ignore[attr-defined]
    ids = model._token_ids(before)  # type: ignore[attr-defined]
    control = model._control  # type: ignore[attr-defined]
    assert ids.count(control["<|im_start|>"]) == 2
    assert control["<|image_pad|>"] not in ids
    assert model.tokenizer.decode(ids).count("<|im_start|>") == 3  # type: ignore[attr-defined]
    assert "<|vision_end|>" in after


def test_a_second_query_runs_no_vision_tower(
    reranker: Reranker, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [result.score for result in scored(reranker, "猫", pictures)]
    monkeypatch.setattr(reranker._model, "_vision", None)
    assert [result.score for result in scored(reranker, "猫", pictures)] == pytest.approx(before, abs=1e-6)


def test_the_published_layout_gives_the_same_scores(reranker: Reranker, published: Path, pictures: list[bytes]) -> None:
    old = Reranker.from_pretrained(str(published), method="yes_no", dtype="float32", device_map="cpu")
    ours, theirs = (scored(one, "猫", pictures) for one in (reranker, old))
    assert [r.score for r in theirs] == pytest.approx([r.score for r in ours], abs=1e-4)


def test_the_early_name_of_the_image_processor_is_read(tmp_path: Path, pictures: list[bytes]) -> None:
    folder = write_published(tmp_path / "early", processor="Qwen2_5_VLImageProcessor")
    early = Reranker.from_pretrained(str(folder), method="yes_no", dtype="float32", device_map="cpu")
    assert all(result.problem is None for result in early.stream("猫", pictures))


def test_a_damaged_checkpoint_is_refused_before_loading(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "damaged")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00002.safetensors is missing"):
        Reranker.from_pretrained(str(folder))


def test_blocks_run_from_disk_give_the_same_scores(reranker: Reranker, checkpoint: Path, pictures: list[bytes]) -> None:
    import torch

    from lychee_rerank.model.loading import part_sizes

    parts = part_sizes(checkpoint, torch.float32)
    device_map: dict[str, object] = dict.fromkeys(parts, "cpu")
    device_map |= {part: "disk" for part in parts if part.endswith(("layers.1", "layers.2"))}
    spread = Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map=device_map)
    ours, theirs = (scored(one, "猫", pictures) for one in (reranker, spread))
    assert "2 of 3 blocks on disk" in spread.placement.summary
    assert [r.score for r in theirs] == pytest.approx([r.score for r in ours], abs=1e-4)
    assert [r.answer for r in scored(spread, "猫", pictures, "generate")] == [
        r.answer for r in scored(reranker, "猫", pictures, "generate")
    ]


def test_the_sizes_of_the_parts_add_up_to_the_weights(reranker: Reranker, checkpoint: Path) -> None:
    import torch

    from lychee_rerank.model.loading import part_sizes

    weights = sum(weight.nbytes for weight in reranker._model.model.parameters())  # type: ignore[attr-defined]
    assert sum(part_sizes(checkpoint, torch.float32).values()) == weights


def test_the_oldest_image_tokens_go_out_when_the_budget_is_full(checkpoint: Path, pictures: list[bytes]) -> None:
    reranker = Reranker.from_pretrained(str(checkpoint), method="yes_no", dtype="float32", device_map="cpu")
    before = [result.score for result in scored(reranker, "猫", pictures)]
    kept = reranker._model._images  # type: ignore[attr-defined]
    kept.budget = kept.size - 1
    scored(reranker, "猫", [encoded(patchwork(9))])
    assert len(kept) == 2
    assert kept.size == sum(tokens.nbytes for tokens, _ in kept._kept.values()) <= kept.budget
    assert [result.score for result in scored(reranker, "猫", pictures)] == pytest.approx(before, abs=1e-4)


def test_two_rankings_in_two_threads_do_not_touch_each_other(reranker: Reranker, pictures: list[bytes]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    alone = [[result.score for result in scored(reranker, query, pictures)] for query in QUERIES[:2]]
    with ThreadPoolExecutor(2) as pool:
        together = pool.map(lambda query: [r.score for r in reranker.stream(query, pictures * 3)], QUERIES[:2])
    for one, three in zip(alone, together, strict=True):
        assert three == pytest.approx(one * 3, abs=1e-3)
