"""Scoring through a server: against recorded answers of a real vLLM, against one that misbehaves on purpose, and, where
`LYCHEE_VLLM` names one, against a real vLLM.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.errors import ServerError
from lychee_rerank.images.load import find_images, load_image
from lychee_rerank.rankings.resumable import journal_for
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.query import normalize_query
from lychee_rerank.vllm import http as connection
from lychee_rerank.vllm.reranker import VLLMReranker, connect, map_ordered
from lychee_rerank.weights.locate import DEMO_FOLDER
from support.fake_vllm import Answer, FakeVllm, sent_pictures, served
from support.images import encoded
from tools.prove_server import RECORDED, compared, described
from tools.vllm_on_cpu import serving

REAL = os.environ.get("LYCHEE_VLLM", "")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSE", 0.0)


@pytest.fixture
def vllm() -> Iterator[FakeVllm]:
    fake = FakeVllm()
    with served(fake.answer) as url:
        fake.url = url
        yield fake


def red(amount: int) -> bytes:
    return encoded(Image.new("RGB", (64, 48), (amount, 0, 0)))


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name).read_text(encoding="utf-8").splitlines()]


# Against what a real vLLM answered ------------------------------------------------------------------------------------


@pytest.fixture
def recorded() -> Iterator[str]:
    """A server that gives a real vLLM's answers, and only to requests that the real one was asked."""
    exchanges = {json.dumps([each["path"], each["body"]], sort_keys=True): each for each in lines("exchanges.jsonl")}

    def replay(path: str, body: dict[str, Any], key: str) -> Answer:
        asked = json.dumps([path, described(body) if body else None], sort_keys=True)
        if asked not in exchanges:
            return Answer(418, {"message": "the real server was never asked this"})
        return Answer(exchanges[asked]["status"], exchanges[asked]["answer"])

    with served(replay) as url:
        yield url


@pytest.mark.parametrize("expected", lines("scores.jsonl"), ids=lambda each: f"{each['method']}-{each['query']}")
def test_a_real_servers_answers_give_the_scores_of_this_machine(recorded: str, expected: dict[str, Any]) -> None:
    reranker = replaying(recorded, expected["method"])
    pictures = [RECORDED / each["name"] for each in expected["results"]]
    results = list(reranker.stream(expected["query"], pictures))
    assert [result.error for result in results] == [None] * len(pictures)
    for result, local in zip(results, expected["results"], strict=True):
        assert (result.name, result.answer) == (local["name"], local["answer"])
        assert result.score == pytest.approx(local["score"], abs=0.01)
    assert reranker.explain(expected["query"], results[0], pictures[0]).answer == expected["explained"]


def test_a_prompt_that_a_real_server_finds_too_long_is_told_in_its_words(recorded: str) -> None:
    server = replaying(recorded, "yes_no").server
    too_long = [{"role": "user", "content": [{"type": "text", "text": "long " * 2000}]}]
    with pytest.raises(ServerError, match="maximum context length is 1024 tokens"):
        server.score_yes_no(too_long, load_image(RECORDED / "apple.png"))


def replaying(url: str, method: Any) -> VLLMReranker:
    from lychee_rerank.vllm.http import RetryingClient
    from lychee_rerank.vllm.reranker import VLLMBackend

    return VLLMReranker(VLLMBackend(RetryingClient(url, max_concurrency=4)), method=method, max_concurrency=4)


# What is sent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_a_picture_is_sent_as_the_model_here_would_see_it(vllm: FakeVllm, fit: Any) -> None:
    from qwen_vl_utils import process_vision_info

    photo = Image.effect_noise((700, 300), 90).convert("RGB")
    (result,) = connect(vllm.url, fit=fit).stream("red", [encoded(photo)])
    assert result.error is None
    (sent,) = sent_pictures(vllm.chats[-1]["messages"])
    prepared = load_image(encoded(photo), fit=fit).image
    (seen,), _ = process_vision_info([{"role": "user", "content": [{"type": "image", "image": prepared}]}])
    assert sent.size == seen.size
    assert ImageChops.difference(sent.convert("RGB"), seen).getbbox() is None


def test_decoding_is_greedy_whatever_the_checkpoint_prefers(vllm: FakeVllm) -> None:
    list(connect(vllm.url).stream("red", [red(200)]))
    assert {(body["temperature"], body["repetition_penalty"]) for body in vllm.chats} == {(0, 1)}


def test_control_tokens_typed_by_a_person_do_not_reach_the_server_whole(vllm: FakeVllm) -> None:
    list(connect(vllm.url).stream("red <|im_start|><|image_pad|> 红", [red(200)]))
    text = json.dumps(vllm.chats[-1]["messages"], ensure_ascii=False)
    assert "<|im_start|>" not in text
    assert "<|image_pad|>" not in text
    assert "<|zh|>" in text


def test_the_key_of_the_environment_is_sent(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm.key = "sesame"
    monkeypatch.setenv("LYCHEE_API_KEY", "sesame")
    assert connect(vllm.url).checkpoint.name == "red"


# The same results as from a model here --------------------------------------------------------------------------------


@pytest.mark.parametrize("knows_token_choice", [True, False])
def test_yes_no_is_the_softmax_over_the_two_tokens(vllm: FakeVllm, knows_token_choice: bool) -> None:
    vllm.knows_token_choice = knows_token_choice
    reranker = connect(vllm.url, method="yes_no")
    weak, strong = reranker.stream("red", [red(51), red(204)])
    assert (weak.score, weak.answer) == (pytest.approx(2), "no")
    assert (strong.score, strong.probability, strong.answer) == (pytest.approx(8), pytest.approx(0.8), "yes")


def test_writing_stops_once_the_score_stands_and_explain_carries_on(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="generate")
    (result,) = reranker.stream("red", [red(204)])
    assert (result.score, result.answer, result.finished) == (8.0, "Score: 8.0. ", False)
    told = reranker.explain("red", result, red(204))
    assert (told.answer, told.finished) == ("Score: 8.0. Reason: it is red.", True)


def test_auto_finds_out_that_a_model_writes_no_scores(vllm: FakeVllm) -> None:
    assert connect(vllm.url).method == "generate"
    silent = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}
    vllm.before = lambda body: Answer(200, silent) if body["max_tokens"] > 1 else None
    assert connect(vllm.url).method == "yes_no"


def test_results_keep_the_order_of_the_pictures_however_the_answers_come(vllm: FakeVllm) -> None:
    first_waits = threading.Event()
    turn = count()

    def first_last(body: dict[str, Any]) -> None:
        if next(turn) == 0:
            first_waits.wait(10)
        else:
            first_waits.set()

    reranker = connect(vllm.url, method="yes_no")
    vllm.before = first_last
    amounts = [10, 250, 120, 60]
    results = list(reranker.stream("red", [red(amount) for amount in amounts]))
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert [round(result.score * 25.5) for result in results] == amounts


def test_bad_pictures_are_never_sent_and_rank_last(vllm: FakeVllm) -> None:
    ranking = connect(vllm.url, method="yes_no").rank("red", [b"no picture", red(90)])
    assert [result.index for result in ranking] == [1, 0]
    assert ranking[1].error == "This is not a picture in a format that can be read."
    assert len(vllm.chats) == 2


def test_so_many_are_in_flight_and_no_more(vllm: FakeVllm) -> None:
    together = threading.Barrier(5)
    reranker = connect(vllm.url, method="yes_no", max_concurrency=5)
    vllm.before = lambda body: together.wait(10) and None
    results = list(reranker.stream("red", [red(100)] * 20))
    assert {result.error for result in results} == {None}
    assert vllm.most_at_once == 5


def test_pictures_are_pulled_lazily_and_an_abandoned_stream_stops(vllm: FakeVllm) -> None:
    pulled = []

    def endless() -> Iterator[bytes]:
        while True:
            pulled.append(1)
            yield red(100)

    results = connect(vllm.url, method="yes_no", max_concurrency=3).stream("red", endless())
    assert next(results).index == 0
    results.close()
    assert len(pulled) <= 6


def test_work_in_order_raises_what_the_work_raised() -> None:
    results = map_ordered(lambda number: 1 // number, [1, 0], max_concurrency=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


# A server that misbehaves ---------------------------------------------------------------------------------------------


def test_a_picture_that_the_server_fails_on_is_marked_alone(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=1)
    bad = lambda body: sent_pictures(body["messages"])[0].getpixel((0, 0))[0] == 77  # noqa: E731
    vllm.before = lambda body: Answer(500, {"message": "odd picture"}) if bad(body) else None
    one, odd, three = reranker.stream("red", [red(200), red(77), red(200)])
    assert (one.error, three.error) == (None, None)
    assert odd.score == 0.0
    assert "answered with status 500 (odd picture)" in (odd.error or "")


def test_a_server_that_dies_half_way_costs_the_rest_and_nothing_more(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=4)
    left = count(10, -1)
    vllm.before = lambda body: None if next(left) > 0 else Answer(0)
    results = list(reranker.stream("red", [red(100)] * 2000))
    scored = [result for result in results if result.error is None]
    assert len(results) == 2000
    assert 6 <= len(scored) <= 14
    assert "broke the connection" in (results[-1].error or "")
    assert len(vllm.chats) < 100


def test_a_server_that_stalls_is_waited_for_once(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=4, timeout=0.5)
    stalled = threading.Event()
    vllm.before = lambda body: stalled.wait(30) and None
    results = list(reranker.stream("red", [red(100)] * 200))
    stalled.set()
    assert all("did not answer within 0.5 seconds" in (result.error or "") for result in results)
    assert len(vllm.chats) <= 1 + 2 * 4


def test_an_answer_that_is_no_completion_is_named(vllm: FakeVllm) -> None:
    vllm.pages["/v1/chat/completions"] = Answer(200, {"choices": []})
    with pytest.raises(ServerError, match="cannot be used for scoring: its answer is no chat completion"):
        connect(vllm.url)


def test_a_server_without_a_model_is_named(vllm: FakeVllm) -> None:
    vllm.pages["/v1/models"] = Answer(200, {"data": []})
    with pytest.raises(ServerError, match="it names no model"):
        connect(vllm.url)


def test_a_server_that_takes_no_pictures_says_so_before_any_is_scored(vllm: FakeVllm) -> None:
    refusal = Answer(400, {"error": {"message": "red is not a multimodal model"}})
    vllm.pages["/v1/chat/completions"] = refusal
    with pytest.raises(ServerError, match=r"status 400 \(red is not a multimodal model\)"):
        connect(vllm.url)


def test_a_vocabulary_without_yes_is_named(vllm: FakeVllm) -> None:
    vllm.pages["/tokenize"] = Answer(200, {"tokens": [1, 2]})
    with pytest.raises(ServerError, match='does not hold "yes" as one piece'):
        connect(vllm.url, method="yes_no")


def test_journals_are_kept_apart_by_server_and_query(vllm: FakeVllm, tmp_path: Path) -> None:
    reranker = connect(vllm.url, method="yes_no")
    with served(vllm.answer) as other_url:
        other = connect(other_url, method="yes_no")
    names = {
        journal_for(each, normalize_query(query), tmp_path) for each in (reranker, other) for query in ("red", "blue")
    }
    assert len(names) == 4
    assert journal_for(reranker, normalize_query("red"), tmp_path) in names


# Through the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LYCHEE_JOURNAL", str(tmp_path / "journal"))
    folder = tmp_path / "shop"
    folder.mkdir()
    for amount in range(10, 50):
        (folder / f"{amount}.png").write_bytes(red(amount))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["rank", "red", "--method", "yes_no", "--quiet", *map(str, arguments)])


def test_a_run_that_lost_its_server_goes_on_where_it_stopped(vllm: FakeVllm, shop: Path, tmp_path: Path) -> None:
    left = count(16, -1)  # a plain picture first, then 15 of the shop's
    vllm.before = lambda body: None if next(left) > 0 else Answer(0)
    stopped = run(shop, "--server", vllm.url, "--at-once", "1")
    assert stopped.exit_code == 1
    assert "25 of 40 could not be scored" in stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith(f"The server at {vllm.url} broke the connection")
    vllm.before, vllm.chats = lambda body: None, []
    finished = run(shop, "--server", vllm.url, "--json", tmp_path / "all.json")
    assert finished.exit_code == 0
    assert len(vllm.chats) == 1 + 25
    ranking = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["results"]
    assert [Path(result["name"]).stem for result in ranking] == [str(amount) for amount in range(49, 9, -1)]


def test_nobody_at_the_address_ends_in_one_line(shop: Path) -> None:
    with served(FakeVllm().answer) as url:
        pass
    result = run(shop, "--server", url)
    assert (result.exit_code, result.stderr) == (1, f"The server at {url} cannot be reached.\n")


def test_what_is_no_address_is_the_command_lines_fault(shop: Path) -> None:
    assert run(shop, "--server", "gpu-box").exit_code == 2


# A real vLLM ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL, reason="LYCHEE_VLLM names no vLLM (a URL that serves the demo, or its environment)")
def test_a_real_vllm_ranks_the_samples_as_this_machine_does(tmp_path: Path) -> None:
    if REAL.startswith("http"):
        check_against(REAL)
    else:
        with serving(Path(REAL).absolute(), DEMO_FOLDER, tmp_path / "vllm.log") as url:
            check_against(url)


def check_against(url: str) -> None:
    here = Reranker.from_pretrained("demo", dtype="float32", method="yes_no")
    there = connect(url, method="yes_no", timeout=300)
    for found in compared(here, there, find_images(DEMO_FOLDER.parent / "samples")):
        assert found.largest <= 0.01, found
        assert found.same_order, found
