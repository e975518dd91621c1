"""VLLMReranker: many images in flight, and servers that misbehave on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lychee_rerank.cli import app
from lychee_rerank.errors import ServerError
from lychee_rerank.rankings.store import score_settings
from lychee_rerank.text.query import normalize_query
from lychee_rerank.vllm import connect
from support.fake_vllm import FakeResponse, FakeVllm, red_image, sent_images, serve

# connect --------------------------------------------------------------------------------------------------------------


def test_the_api_key_of_the_environment_is_sent(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm.api_key = "sesame"
    monkeypatch.setenv("LYCHEE_API_KEY", "sesame")
    assert connect(vllm.url).checkpoint.name == "red"


def test_the_checkpoint_has_the_address_as_it_was_given(vllm: FakeVllm) -> None:
    checkpoint = connect(vllm.url, method="yes_no").checkpoint
    assert (checkpoint.source, checkpoint.url) == ("server", vllm.url)


def test_method_auto_notices_that_a_model_generates_no_scores(vllm: FakeVllm) -> None:
    assert connect(vllm.url).method == "generate"
    no_score = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}
    vllm.intercept = lambda body: FakeResponse(200, no_score) if body["max_tokens"] > 1 else None
    assert connect(vllm.url).method == "yes_no"


def test_a_server_that_takes_no_images_says_so_before_any_is_scored(vllm: FakeVllm) -> None:
    refusal = FakeResponse(400, {"error": {"message": "red is not a multimodal model"}})
    vllm.responses["/v1/chat/completions"] = refusal
    with pytest.raises(ServerError, match=r"status 400 \(red is not a multimodal model\)"):
        connect(vllm.url)


def test_scores_are_kept_apart_by_server_and_query(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no")
    with serve(vllm.respond) as other_url:
        other = connect(other_url, method="yes_no")
    queries = [normalize_query("red"), normalize_query("blue")]
    settings = [score_settings(each, query) for each in (reranker, other) for query in queries]
    assert len(set(map(str, settings))) == 4
    assert score_settings(reranker, queries[0]) == settings[0]


# Many images in flight ------------------------------------------------------------------------------------------------


def test_results_keep_the_order_of_the_images_however_the_answers_come(vllm: FakeVllm) -> None:
    first_may_end = threading.Event()
    turns = count()

    def first_ends_last(body: dict[str, Any]) -> None:
        if next(turns) == 0:
            first_may_end.wait(10)
        else:
            first_may_end.set()

    reranker = connect(vllm.url, method="yes_no")
    vllm.intercept = first_ends_last
    amounts = [10, 250, 120, 60]
    results = list(reranker.stream("red", [red_image(amount) for amount in amounts]))
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert [round(result.score * 25.5) for result in results] == amounts


def test_bad_images_are_never_sent_and_rank_last(vllm: FakeVllm) -> None:
    ranking = connect(vllm.url, method="yes_no").rank("red", [b"no image", red_image(90)])
    assert [result.index for result in ranking] == [1, 0]
    assert ranking[1].error == "This is not a picture in a format that can be read."
    assert len(vllm.chats) == 2


def test_max_concurrency_images_are_in_flight_and_no_more(vllm: FakeVllm) -> None:
    together, first_five = threading.Barrier(5), iter(range(5))
    reranker = connect(vllm.url, method="yes_no", max_concurrency=5)

    def wait(_body: object) -> None:
        if next(first_five, None) is not None:  # later ones need not come by fives
            together.wait(10)

    vllm.intercept = wait
    results = list(reranker.stream("red", [red_image(100)] * 20))
    assert {result.error for result in results} == {None}
    assert vllm.max_in_flight == 5


def test_images_are_pulled_lazily_and_an_abandoned_stream_stops(vllm: FakeVllm) -> None:
    pulled = []

    def endless() -> Iterator[bytes]:
        while True:
            pulled.append(1)
            yield red_image(100)

    results = connect(vllm.url, method="yes_no", max_concurrency=3).stream("red", endless())
    assert next(results).index == 0
    results.close()
    assert len(pulled) <= 6


# A server that misbehaves ---------------------------------------------------------------------------------------------


def test_an_image_that_the_server_fails_on_is_the_only_one_marked(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=1)
    is_bad = lambda body: sent_images(body["messages"])[0].getpixel((0, 0))[0] == 77  # noqa: E731
    vllm.intercept = lambda body: FakeResponse(500, {"message": "odd image"}) if is_bad(body) else None
    first, bad, last = reranker.stream("red", [red_image(200), red_image(77), red_image(200)])
    assert (first.error, last.error) == (None, None)
    assert bad.score == 0.0
    assert "answered with status 500 (odd image)" in (bad.error or "")


def test_a_server_that_dies_half_way_costs_the_remaining_images_and_nothing_more(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=4)
    answers_left = count(10, -1)
    vllm.intercept = lambda body: None if next(answers_left) > 0 else FakeResponse(0)
    results = list(reranker.stream("red", [red_image(100)] * 2000))
    scored = [result for result in results if result.error is None]
    assert len(results) == 2000
    assert 6 <= len(scored) <= 14
    assert "broke the connection" in (results[-1].error or "")
    assert len(vllm.chats) < 100


def test_a_server_that_stalls_is_waited_for_once(vllm: FakeVllm) -> None:
    reranker = connect(vllm.url, method="yes_no", max_concurrency=4, timeout=0.5)
    stall = threading.Event()
    vllm.intercept = lambda body: stall.wait(30) and None
    results = list(reranker.stream("red", [red_image(100)] * 200))
    stall.set()
    assert all("did not answer within 0.5 seconds" in (result.error or "") for result in results)
    assert len(vllm.chats) <= 1 + 2 * 4


# Through the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for amount in range(10, 50):
        (folder / f"{amount}.png").write_bytes(red_image(amount))
    return folder


def rank(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["rank", "red", "--method", "yes_no", "--quiet", *map(str, arguments)])


def test_a_run_that_lost_its_server_continues_where_it_stopped(vllm: FakeVllm, shop: Path, tmp_path: Path) -> None:
    answers_left = count(16, -1)  # a plain image first, then 15 of the shop's
    vllm.intercept = lambda body: None if next(answers_left) > 0 else FakeResponse(0)
    stopped = rank(shop, "--server", vllm.url, "--at-once", "1")
    assert stopped.exit_code == 1
    assert "25 of 40 could not be scored" in stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith(f"The server at {vllm.url} broke the connection")
    vllm.intercept, vllm.chats = lambda body: None, []
    finished = rank(shop, "--server", vllm.url, "--json", tmp_path / "all.json")
    assert finished.exit_code == 0
    assert len(vllm.chats) == 1 + 25
    ranking = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["results"]
    assert [Path(result["name"]).stem for result in ranking] == [str(amount) for amount in range(49, 9, -1)]


def test_an_address_where_nobody_listens_ends_in_one_line(shop: Path) -> None:
    with serve(FakeVllm().respond) as url:
        pass
    result = rank(shop, "--server", url)
    assert (result.exit_code, result.stderr) == (1, f"The server at {url} cannot be reached.\n")


def test_a_url_that_is_no_address_is_a_usage_error(shop: Path) -> None:
    assert rank(shop, "--server", "gpu-box").exit_code == 2
