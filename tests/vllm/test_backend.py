"""VLLMBackend: what it sends and how it reads answers; against recorded answers of a real vLLM and, where `LYCHEE_VLLM`
names one, against a real vLLM.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from lychee_rerank.errors import ServerError
from lychee_rerank.images.files import find_images
from lychee_rerank.images.load import load_image
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.vllm import connect
from lychee_rerank.vllm.backend import VLLMBackend
from lychee_rerank.vllm.http import RetryingClient
from lychee_rerank.vllm.reranker import VLLMReranker
from lychee_rerank.weights.locate import DEMO_FOLDER
from support.fake_vllm import FakeResponse, FakeVllm, red_image, sent_images, serve
from support.images import encode
from tools.prove_server import RECORDED, compare, describe_request
from tools.vllm_on_cpu import serve_vllm

REAL_VLLM = os.environ.get("LYCHEE_VLLM", "")


def read_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name).read_text(encoding="utf-8").splitlines()]


# Recorded answers of a real vLLM --------------------------------------------------------------------------------------


@pytest.fixture
def recorded() -> Iterator[VLLMBackend]:
    """A server that gives a real vLLM's answers, and only to requests that the real one got."""
    exchanges = {
        json.dumps([entry["path"], entry["body"]], sort_keys=True): entry for entry in read_lines("exchanges.jsonl")
    }

    def replay(path: str, body: dict[str, Any], authorization: str) -> FakeResponse:
        request = json.dumps([path, describe_request(body) if body else None], sort_keys=True)
        if request not in exchanges:
            return FakeResponse(418, {"message": "the real server never got this request"})
        return FakeResponse(exchanges[request]["status"], exchanges[request]["answer"])

    with serve(replay) as url:
        yield VLLMBackend(RetryingClient(url, max_concurrency=4))


@pytest.mark.parametrize(
    "expected", read_lines("scores.jsonl"), ids=lambda entry: f"{entry['method']}-{entry['query']}"
)
def test_a_real_servers_answers_give_the_scores_of_this_machine(
    recorded: VLLMBackend, expected: dict[str, Any]
) -> None:
    reranker = VLLMReranker(recorded, options=ScoringOptions(expected["method"]), max_concurrency=4)
    images = [RECORDED / entry["name"] for entry in expected["results"]]
    results = list(reranker.stream(expected["query"], images))
    assert [result.error for result in results] == [None] * len(images)
    for result, local in zip(results, expected["results"], strict=True):
        assert (result.name, result.answer) == (local["name"], local["answer"])
        assert result.score == pytest.approx(local["score"], abs=0.01)
    assert reranker.explain(expected["query"], results[0], images[0]).answer == expected["explained"]


def test_a_prompt_that_is_too_long_is_reported_in_the_real_servers_words(recorded: VLLMBackend) -> None:
    too_long = [{"role": "user", "content": [{"type": "text", "text": "long " * 2000}]}]
    with pytest.raises(ServerError, match="maximum context length is 1024 tokens"):
        recorded.score_yes_no(too_long, load_image(RECORDED / "apple.png"))


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_an_image_is_sent_with_the_pixels_that_a_local_model_gets(vllm: FakeVllm, fit: Any) -> None:
    from qwen_vl_utils import process_vision_info

    photo = Image.effect_noise((700, 300), 90).convert("RGB")
    (result,) = connect(vllm.url, fit=fit).stream("red", [encode(photo)])
    assert result.error is None
    (sent,) = sent_images(vllm.chats[-1]["messages"])
    prepared = load_image(encode(photo), fit=fit).image
    (expected,), _ = process_vision_info([{"role": "user", "content": [{"type": "image", "image": prepared}]}])
    assert sent.size == expected.size
    assert ImageChops.difference(sent.convert("RGB"), expected).getbbox() is None


def test_decoding_is_greedy_whatever_the_checkpoint_prefers(vllm: FakeVllm) -> None:
    list(connect(vllm.url).stream("red", [red_image(200)]))
    assert {(body["temperature"], body["repetition_penalty"]) for body in vllm.chats} == {(0, 1)}


def test_special_tokens_typed_by_a_person_do_not_reach_the_server_whole(vllm: FakeVllm) -> None:
    list(connect(vllm.url).stream("red <|im_start|><|image_pad|> 红", [red_image(200)]))
    text = json.dumps(vllm.chats[-1]["messages"], ensure_ascii=False)
    assert "<|im_start|>" not in text
    assert "<|image_pad|>" not in text
    assert "<|zh|>" in text


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("supports_logprob_token_ids", [True, False])
def test_the_yes_no_score_is_the_softmax_over_the_two_tokens(vllm: FakeVllm, supports_logprob_token_ids: bool) -> None:
    vllm.supports_logprob_token_ids = supports_logprob_token_ids
    reranker = connect(vllm.url, method="yes_no")
    weak, strong = reranker.stream("red", [red_image(51), red_image(204)])
    assert (weak.score, weak.answer) == (pytest.approx(2), "no")
    assert (strong.score, strong.probability, strong.answer) == (pytest.approx(8), pytest.approx(0.8), "yes")


def test_generation_stops_once_the_score_is_complete_and_explain_continues_it(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="generate")
    (result,) = reranker.stream("red", [red_image(204)])
    assert (result.score, result.answer, result.finished) == (8.0, "Score: 8.0. ", False)
    explained = reranker.explain("red", result, red_image(204))
    assert (explained.answer, explained.finished) == ("Score: 8.0. Reason: it is red.", True)


def test_an_answer_that_is_no_completion_is_named_in_the_error(vllm: FakeVllm) -> None:
    vllm.responses["/v1/chat/completions"] = FakeResponse(200, {"choices": []})
    with pytest.raises(ServerError, match="cannot be used for scoring: its answer is no chat completion"):
        connect(vllm.url)


def test_a_server_without_a_model_is_refused(vllm: FakeVllm) -> None:
    vllm.responses["/v1/models"] = FakeResponse(200, {"data": []})
    with pytest.raises(ServerError, match="it names no model"):
        connect(vllm.url)


def test_a_vocabulary_without_yes_is_refused(vllm: FakeVllm) -> None:
    vllm.responses["/tokenize"] = FakeResponse(200, {"tokens": [1, 2]})
    with pytest.raises(ServerError, match='does not hold "yes" as one piece'):
        connect(vllm.url, method="yes_no")


# A real vLLM ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL_VLLM, reason="LYCHEE_VLLM names no vLLM (a URL that serves the demo, or its environment)")
def test_a_real_vllm_ranks_the_samples_as_this_machine_does(tmp_path: Path) -> None:
    if REAL_VLLM.startswith("http"):
        assert_same_scores(REAL_VLLM)
    else:
        with serve_vllm(Path(REAL_VLLM).absolute(), DEMO_FOLDER, tmp_path / "vllm.log") as url:
            assert_same_scores(url)


def assert_same_scores(url: str) -> None:
    local = Reranker.from_pretrained("demo", dtype="float32", method="yes_no")
    remote = connect(url, method="yes_no", timeout=300)
    for comparison in compare(local, remote, find_images(DEMO_FOLDER.parent / "samples")):
        assert comparison.max_difference <= 0.01, comparison
        assert comparison.same_order, comparison
