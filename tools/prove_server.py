"""Compare scores through a real vLLM with scores on this machine: `python -m tools.prove_server [--record]`.

Makes an environment with a vLLM for CPUs (once, under --vllm), serves the checkpoint on 127.0.0.1, scores the sample
images both ways in float32 and prints the differences; exits with 1 where a score differs by more than 0.01. With
--record it also saves the server's requests and answers, for the tests to replay without a vLLM.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from PIL import Image, ImageStat

from lychee_rerank.errors import ServerError
from lychee_rerank.images.files import find_images
from lychee_rerank.images.load import load_image
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore, ScoringMethod, rank
from lychee_rerank.vllm import connect
from lychee_rerank.vllm.backend import VLLMBackend
from lychee_rerank.vllm.reranker import VLLMReranker
from lychee_rerank.weights.locate import DEMO_FOLDER
from tools.vllm_on_cpu import make_environment, serve_vllm

SAMPLES = DEMO_FOLDER.parent / "samples"
RECORDED = Path(__file__).parent.parent / "tests" / "vllm" / "recorded_server"
QUERIES = ("a red apple", "红苹果", "cat and dog", "海边日落的帆船", "a dress on a hanger")
METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")
TOLERANCE = 0.01


@dataclass(frozen=True)
class Comparison:
    """One ranking made both ways.

    max_difference: of two scores. same_order: best first; images whose local scores lie closer together than the
    tolerance count as tied. seconds: through the server.
    """

    method: ScoringMethod
    query: str
    max_difference: float
    same_order: bool
    same_answers: int
    images: int
    seconds: float


def main(
    vllm: Annotated[Path, typer.Option(help="Environment with vLLM; made if there is none.")] = Path("build/vllm"),
    server: Annotated[str | None, typer.Option(help="Use the vLLM at this address instead of starting one.")] = None,
    model: Annotated[Path, typer.Option(help="The checkpoint.")] = DEMO_FOLDER,
    record: Annotated[bool, typer.Option("--record", help="Record the answers for the tests again.")] = False,
) -> None:
    """Compare, print, and record if asked."""
    if server:
        sys.exit(_prove(server, model, record))
    make_environment(vllm)
    with serve_vllm(vllm.absolute(), model, Path(tempfile.gettempdir()) / "vllm.log") as url:
        sys.exit(_prove(url, model, record))


def _prove(url: str, model: Path, record: bool) -> int:
    local = Reranker.from_pretrained(str(model), dtype="float32", method="yes_no")
    remote = connect(url, method="yes_no", timeout=300)
    comparisons = compare(local, remote, find_images(SAMPLES))
    for comparison in comparisons:
        order = "same order" if comparison.same_order else "OTHER ORDER"
        answers = f"{comparison.same_answers}/{comparison.images} answers alike"
        print(
            f"{comparison.method:9} {comparison.max_difference:.5f}  {order}  {answers}  "
            f"{comparison.seconds:5.1f} s  {comparison.query}"
        )
    if record:
        _record(local, remote)
    return not all(comparison.max_difference <= TOLERANCE and comparison.same_order for comparison in comparisons)


def compare(local: Reranker, remote: Reranker, images: Sequence[Path]) -> list[Comparison]:
    """Every query by every method, both ways."""
    comparisons = []
    for method in METHODS:
        options = replace(local.options, method=method)
        for query in QUERIES:
            expected = list(local.stream(query, images, options=options))
            start = time.perf_counter()
            results = list(remote.stream(query, images, options=options))
            seconds = time.perf_counter() - start
            pairs = list(zip(expected, results, strict=True))
            difference = max(10.0 if other.problem else abs(one.score - other.score) for one, other in pairs)
            same_answers = sum(one.answer == other.answer for one, other in pairs)
            same_order = _same_order(expected, results)
            comparisons.append(Comparison(method, query, difference, same_order, same_answers, len(pairs), seconds))
    return comparisons


def _same_order(expected: list[ImageScore], results: list[ImageScore]) -> bool:
    scores = [expected[result.index].score for result in rank(results)]
    return all(worse <= better + TOLERANCE for better, worse in zip(scores, scores[1:], strict=False))


def _record(local: Reranker, remote: VLLMReranker) -> None:
    """Two queries over five small images, a continued answer, and a prompt that is too long."""
    RECORDED.mkdir(exist_ok=True)
    images = [_save_small(SAMPLES / name) for name in ("apple.jpg", "balloon.jpg", "cat.jpg", "dress.jpg", "pizza.jpg")]
    exchanges: list[dict[str, Any]] = []
    http = remote.client._http
    http.request = _recording(http.request, exchanges)  # type: ignore[method-assign]
    backend = VLLMBackend(remote.client)  # has asked for nothing yet, so that the model's name is recorded too
    remote = VLLMReranker(backend, options=remote.options, max_concurrency=1)
    scores = []
    for method in METHODS:
        options = replace(local.options, method=method)
        for query in QUERIES[:2]:
            results = list(remote.stream(query, images, options=options))
            remote.explain(query, results[0], images[0], options=options)
            expected = list(local.stream(query, images, options=options))
            explained = local.explain(query, expected[0], images[0], options=options).answer
            entries = [{"name": result.name, "score": result.score, "answer": result.answer} for result in expected]
            scores.append({"method": method, "query": query, "results": entries, "explained": explained})
    try:
        too_long = [{"role": "user", "content": [{"type": "text", "text": "long " * 2000}]}]
        backend.score_yes_no(too_long, load_image(images[0]))
    except ServerError as error:
        print(f"recorded as well: {error}")
    unique = {json.dumps([exchange["path"], exchange["body"]]): exchange for exchange in exchanges}
    _write("exchanges.jsonl", list(unique.values()))
    _write("scores.jsonl", scores)


def _save_small(file: Path) -> Path:
    copy = RECORDED / f"{file.stem}.png"
    with Image.open(file) as image:
        image.convert("RGB").resize((96, 96)).quantize(64).save(copy, optimize=True)
    return copy


def _recording(request: Callable[..., Any], exchanges: list[dict[str, Any]]) -> Callable[..., Any]:
    def recording_request(method: str, url: str, **kwargs: Any) -> Any:
        response = request(method, url, **kwargs)
        path, body = urlsplit(url).path, describe_request(kwargs.get("json"))
        exchanges.append(
            {"method": method, "path": path, "body": body, "status": response.status, "answer": response.json()}
        )
        return response

    return recording_request


def describe_request(body: Any) -> Any:
    """A request with each image replaced by its format, size and mean color, which no PNG encoder changes."""
    if isinstance(body, dict) and body.get("type") == "image_url":
        data = base64.b64decode(body["image_url"]["url"].partition("base64,")[2])
        with Image.open(io.BytesIO(data)) as image:
            mean = [round(value) for value in ImageStat.Stat(image).mean]
            return {"type": "image_url", "image": [image.format, *image.size, *mean]}
    if isinstance(body, dict):
        return {name: describe_request(value) for name, value in body.items()}
    return [describe_request(value) for value in body] if isinstance(body, list) else body


def _write(name: str, entries: list[dict[str, Any]]) -> None:
    lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    (RECORDED / name).write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    typer.run(main)
