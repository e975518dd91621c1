"""Hold scoring through a real vLLM against scoring here: `python tools/prove_server.py [--record]`.

Makes an environment with a vLLM for CPUs (once, under --vllm), serves the checkpoint on 127.0.0.1, scores the sample
pictures both ways in float32 and prints the differences; exits with 1 where a score differs by more than 0.01. With
--record it also writes down what the server was asked and answered, for the tests to replay without a vLLM.
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
from lychee_rerank.images.load import find_images, load_image
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ImageScore, ScoringMethod, rank
from lychee_rerank.vllm.reranker import VLLMBackend, VLLMReranker, connect
from lychee_rerank.weights.locate import DEMO_FOLDER
from tools.vllm_on_cpu import prepare, serving

SAMPLES = DEMO_FOLDER.parent / "samples"
RECORDED = Path(__file__).parent.parent / "tests" / "vllm" / "recorded_server"
QUERIES = ("a red apple", "红苹果", "cat and dog", "海边日落的帆船", "a dress on a hanger")
METHODS: tuple[ScoringMethod, ...] = ("yes_no", "generate")
TOLERANCE = 0.01


@dataclass(frozen=True)
class Compared:
    """One ranking made both ways. `largest` difference in score, `same_order` the same best-first order, pictures whose
    scores here lie closer together than the tolerance counting as tied."""

    method: ScoringMethod
    query: str
    largest: float
    same_order: bool
    same_answers: int
    pictures: int
    seconds: float


def main(
    vllm: Annotated[Path, typer.Option(help="Environment with vLLM; made where there is none.")] = Path("build/vllm"),
    server: Annotated[str | None, typer.Option(help="Use the vLLM at this address instead of starting one.")] = None,
    model: Annotated[Path, typer.Option(help="The checkpoint.")] = DEMO_FOLDER,
    record: Annotated[bool, typer.Option("--record", help="Write the tests' recorded answers anew.")] = False,
) -> None:
    """Compare, print, and record where asked."""
    if server:
        sys.exit(_prove(server, model, record))
    prepare(vllm)
    with serving(vllm.absolute(), model, Path(tempfile.gettempdir()) / "vllm.log") as url:
        sys.exit(_prove(url, model, record))


def _prove(url: str, model: Path, record: bool) -> int:
    here = Reranker.from_pretrained(str(model), dtype="float32", method="yes_no")
    there = connect(url, method="yes_no", timeout=300)
    found = compared(here, there, find_images(SAMPLES))
    for each in found:
        order = "same order" if each.same_order else "OTHER ORDER"
        alike = f"{each.same_answers}/{each.pictures} answers alike"
        print(f"{each.method:9} {each.largest:.5f}  {order}  {alike}  {each.seconds:5.1f} s  {each.query}")
    if record:
        _record(here, there)
    return not all(each.largest <= TOLERANCE and each.same_order for each in found)


def compared(here: Reranker, there: Reranker, pictures: Sequence[Path]) -> list[Compared]:
    """Every query by every method, both ways."""
    found = []
    for method in METHODS:
        here.options = there.options = replace(here.options, method=method)
        for query in QUERIES:
            ours, start = list(here.stream(query, pictures)), time.perf_counter()
            theirs = list(there.stream(query, pictures))
            seconds = time.perf_counter() - start
            pairs = list(zip(ours, theirs, strict=True))
            largest = max(abs(one.score - other.score) if not other.problem else 10.0 for one, other in pairs)
            alike = sum(one.answer == other.answer for one, other in pairs)
            found.append(Compared(method, query, largest, _same_order(ours, theirs), alike, len(pairs), seconds))
    return found


def _same_order(ours: list[ImageScore], theirs: list[ImageScore]) -> bool:
    scores = [ours[result.index].score for result in rank(theirs)]
    return all(worse <= better + TOLERANCE for better, worse in zip(scores, scores[1:], strict=False))


def _record(here: Reranker, there: VLLMReranker) -> None:
    """Two queries over six small pictures, an answer carried on, and a prompt that is too long."""
    RECORDED.mkdir(exist_ok=True)
    pictures = [_small(SAMPLES / name) for name in ("apple.jpg", "balloon.jpg", "cat.jpg", "dress.jpg", "pizza.jpg")]
    exchanges: list[dict[str, Any]] = []
    connection = there.server._connection
    connection._http.request = _listening(connection._http.request, exchanges)  # type: ignore[method-assign]
    there = VLLMReranker(VLLMBackend(connection), max_concurrency=1)
    scores = []
    for method in METHODS:
        here.options = there.options = replace(here.options, method=method)
        for query in QUERIES[:2]:
            list(there.stream(query, pictures))
            ours = list(here.stream(query, pictures))
            whole = here.explain(query, ours[0], pictures[0])
            there.explain(query, next(there.stream(query, pictures[:1])), pictures[0])
            expected = [{"name": each.name, "score": each.score, "answer": each.answer} for each in ours]
            scores.append({"method": method, "query": query, "results": expected, "explained": whole.answer})
    try:
        too_long = [{"role": "user", "content": [{"type": "text", "text": "long " * 2000}]}]
        there.server.score_yes_no(too_long, load_image(pictures[0]))
    except ServerError as error:
        print(f"recorded as well: {error}")
    once = {json.dumps([each["path"], each["body"]]): each for each in exchanges}
    _write("exchanges.jsonl", list(once.values()))
    _write("scores.jsonl", scores)


def _small(picture: Path) -> Path:
    copy = RECORDED / f"{picture.stem}.png"
    with Image.open(picture) as opened:
        opened.convert("RGB").resize((96, 96)).quantize(64).save(copy, optimize=True)
    return copy


def _listening(request: Callable[..., Any], exchanges: list[dict[str, Any]]) -> Callable[..., Any]:
    def asked(method: str, url: str, **how: Any) -> Any:
        response = request(method, url, **how)
        body = described(how.get("json"))
        told = {"method": method, "path": urlsplit(url).path, "body": body}
        exchanges.append({**told, "status": response.status, "answer": response.json()})
        return response

    return asked


def described(body: Any) -> Any:
    """A request with each picture replaced by its size and mean colour, which no PNG encoder changes."""
    if isinstance(body, dict) and body.get("type") == "image_url":
        data = base64.b64decode(body["image_url"]["url"].partition("base64,")[2])
        with Image.open(io.BytesIO(data)) as picture:
            mean = [round(value) for value in ImageStat.Stat(picture).mean]
            return {"type": "image_url", "picture": [picture.format, *picture.size, *mean]}
    if isinstance(body, dict):
        return {name: described(value) for name, value in body.items()}
    return [described(value) for value in body] if isinstance(body, list) else body


def _write(name: str, entries: list[dict[str, Any]]) -> None:
    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in entries)
    (RECORDED / name).write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    typer.run(main)
