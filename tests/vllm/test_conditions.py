"""Conditions scored through a vLLM server."""

from __future__ import annotations

import json
import math
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from lychee_rerank.images.load import LoadedImage
from lychee_rerank.reranker import Reranker
from lychee_rerank.vllm import connect
from lychee_rerank.weights.locate import DEMO_FOLDER
from support.fake_cli import run_command
from support.fake_vllm import NO_ID, YES_ID, FakeResponse, FakeVllm, red_image, sent_images

QUERY = "a basketball, a blue background, the sun"


def test_conditions_are_those_of_the_same_model_on_this_machine(vllm: FakeVllm) -> None:
    local = Reranker.from_pretrained("demo", method="yes_no", dtype="float32", device_map="cpu")
    remote = connect(vllm.url, method="yes_no")
    vllm.intercept = lambda body: answer_as(local, body)
    for name in ("basketball.jpg", "cat.jpg"):
        image = DEMO_FOLDER.parent / "samples" / name
        expected = [
            (condition.text, pytest.approx(condition.score, abs=0.01)) for condition in local.conditions(QUERY, image)
        ]
        assert [(condition.text, condition.score) for condition in remote.conditions(QUERY, image)] == expected


def answer_as(local: Reranker, body: dict[str, Any]) -> FakeResponse:
    """The log-probabilities of yes and no that `local` gives to what was sent."""
    (image,) = sent_images(body["messages"])
    messages = [
        {**message, "content": [part if part["type"] == "text" else {"type": "image"} for part in message["content"]]}
        for message in body["messages"]
    ]
    with local._backend_lock:
        yes = local._backend.score_yes_no(messages, LoadedImage("sent", image.convert("RGB"), image.size)).probability
    logprobs = [
        {"token": f"token_id:{token_id}", "logprob": math.log(probability)}
        for token_id, probability in ((YES_ID, yes), (NO_ID, 1 - yes))
    ]
    token = {**logprobs[0], "top_logprobs": logprobs}
    return FakeResponse(200, {"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [token]}}]})


def test_the_conditions_of_an_image_are_in_flight_together(vllm: FakeVllm) -> None:
    remote = connect(vllm.url, method="yes_no")
    together = Barrier(3)

    def wait(_body: object) -> None:
        together.wait(10)

    vllm.intercept = wait
    assert {condition.error for condition in remote.conditions(QUERY, red_image(90))} == {None}


def test_an_image_that_the_server_fails_on_has_a_problem_in_each_condition(vllm: FakeVllm) -> None:
    remote = connect(vllm.url, method="yes_no")
    vllm.intercept = lambda body: FakeResponse(500, {"message": "odd image"})
    conditions = remote.conditions(QUERY, red_image(90))
    assert len(conditions) == 3
    assert all("odd image" in (condition.error or "") for condition in conditions)


def test_the_command_keeps_many_images_in_flight_for_each_condition(vllm: FakeVllm, tmp_path: Path) -> None:
    for amount in range(6):
        (tmp_path / f"{amount}.png").write_bytes(red_image(100 + amount))
    arguments = ["rank", QUERY, tmp_path, "--server", vllm.url, "--method", "yes_no", "--json", "-", "--quiet"]
    assert run_command(*arguments).exit_code == 0
    together, sent = Barrier(6), len(vllm.chats)

    def wait(_body: object) -> None:
        if len(vllm.chats) > sent + 1:  # the first is a plain image, which a connection begins with
            together.wait(10)

    vllm.intercept = wait
    result = run_command(*arguments, "--conditions")
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)["results"]
    assert [len(each["conditions"]) for each in results] == [3] * 6
    assert len(vllm.chats) == sent + 1 + 6 * 3


def test_nothing_is_a_near_duplicate_as_a_server_returns_no_features(vllm: FakeVllm) -> None:
    assert connect(vllm.url, method="yes_no").near_duplicates(["same", "same"]) == ()
