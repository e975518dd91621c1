"""The Reranker over a fake model that scores how red an image is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier

import pytest
from PIL import Image, ImageStat

from lychee_rerank.errors import ModelError, OutOfMemoryError, QueryError
from lychee_rerank.images.files import read_image
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.backend import GenerationOutput, YesNoOutput
from lychee_rerank.reranker import Reranker, ScoringOptions, can_generate_score
from lychee_rerank.text.prompts import Messages
from lychee_rerank.weights.locate import Checkpoint
from support.images import encode


@dataclass
class RednessBackend:
    """Scores how red an image is. Raises `failures` one after the other before it answers again."""

    failures: list[Exception] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    encoded: set[str] = field(default_factory=set)
    template: str = "Score: {score:.1f}. Reason: it is red."

    def score_yes_no(self, messages: Messages, image: PreparedImage) -> YesNoOutput:
        probability = self._redness(image)
        return YesNoOutput(probability, "yes" if probability > 0.5 else "no")

    def generate(
        self, messages: Messages, image: PreparedImage, *, stop: Callable[[str], bool], token_ids: tuple[int, ...] = ()
    ) -> GenerationOutput:
        answer = self.template.format(score=10 * self._redness(image))
        for length in range(len(token_ids), len(answer) + 1):
            if stop(answer[:length]):
                return GenerationOutput(answer[:length], tuple(range(length)), False)
        return GenerationOutput(answer, tuple(range(len(answer))), True)

    def prefill(self, messages: Messages) -> None:
        pass

    def has_image_features(self, key: str) -> bool:
        return key in self.encoded

    def resize(self, image: Image.Image) -> Image.Image:
        return image

    def encode_image(self, image: PreparedImage) -> None:
        self.encoded.add(image.key)

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """All images that are cached are alike."""
        return (tuple(position for position, key in enumerate(keys) if key in self.encoded),)

    def clear_cache(self) -> None:
        self.encoded.clear()

    def prompt_text(self, messages: Messages) -> str:
        return str(messages)

    def _redness(self, image: PreparedImage) -> float:
        if self.failures:
            raise self.failures.pop(0)
        self.scored.append(image.name)
        red, green, _ = ImageStat.Stat(image.image).mean
        return max(0.0, red - green) / 255


def red(amount: int) -> bytes:
    return encode(Image.new("RGB", (64, 48), (amount, 0, 0)))


@pytest.fixture
def backend() -> RednessBackend:
    return RednessBackend()


@pytest.fixture
def reranker(backend: RednessBackend) -> Reranker:
    return Reranker(backend, checkpoint=Checkpoint(Path("x"), "fake", "argument"))


def test_rank_puts_the_best_first_and_images_without_a_score_last(reranker: Reranker) -> None:
    ranking = reranker.rank("red", [red(50), b"not a picture", red(250), red(120)])
    assert [result.index for result in ranking] == [2, 3, 0, 1]
    assert [result.rank for result in ranking] == [1, 2, 3, 4]
    assert ranking[-1].score == 0.0
    assert ranking[-1].error == "This is not a picture in a format that can be read."


def test_ties_keep_the_order_of_the_input(reranker: Reranker) -> None:
    assert [result.index for result in reranker.rank("red", [red(100), red(100), red(100)])] == [0, 1, 2]


def test_an_unusable_image_costs_no_model_time(reranker: Reranker, backend: RednessBackend) -> None:
    list(reranker.stream("red", [b"", red(10)]))
    assert len(backend.scored) == 1


def test_stream_pulls_lazily_from_an_endless_source(reranker: Reranker) -> None:
    pulled = []

    def endless() -> Iterator[bytes]:
        while True:
            pulled.append(1)
            yield red(len(pulled) % 256)

    results = reranker.stream("red", endless())
    assert [next(results).index for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(pulled) < 12


def test_an_abandoned_stream_runs_the_model_no_further(reranker: Reranker, backend: RednessBackend) -> None:
    results = reranker.stream("red", [red(10)] * 50)
    next(results)
    results.close()
    assert len(backend.scored) == 1


def test_an_unusable_query_is_refused_before_any_model_work(reranker: Reranker, backend: RednessBackend) -> None:
    with pytest.raises(QueryError):
        reranker.stream("！？", [red(10)])
    assert backend.scored == []


def test_the_score_of_yes_no_is_ten_times_the_probability(reranker: Reranker) -> None:
    result = next(reranker.stream("red", [red(255)], options=ScoringOptions("yes_no")))
    assert (result.score, result.probability, result.answer) == (10.0, 1.0, "yes")
    assert result.parsed is None


def test_generation_stops_once_the_score_is_complete_and_explain_completes_the_answer(reranker: Reranker) -> None:
    result = next(reranker.stream("red", [red(255)]))
    assert result.score == 10.0
    assert not result.finished
    assert "red" not in result.answer
    explained = reranker.explain("red", result, red(255))
    assert explained.answer == "Score: 10.0. Reason: it is red."
    assert explained.finished


def test_running_out_of_memory_once_costs_no_score(reranker: Reranker, backend: RednessBackend) -> None:
    backend.failures = [OutOfMemoryError("full")]
    result = next(reranker.stream("red", [red(255)]))
    assert (result.score, result.problem) == (10.0, None)


def test_running_out_of_memory_twice_fails_that_image_alone(reranker: Reranker, backend: RednessBackend) -> None:
    backend.failures = [OutOfMemoryError("full"), OutOfMemoryError("full")]
    first, second = reranker.stream("red", [red(255), red(255)])
    assert first.problem is not None
    assert first.problem.code == "out_of_memory"
    assert second.score == 10.0


def test_a_model_failure_fails_that_image_alone(reranker: Reranker, backend: RednessBackend) -> None:
    backend.failures = [ModelError("odd shape")]
    first, second = reranker.stream("red", [red(255), red(255)])
    assert first.error == "The model failed on this picture: odd shape."
    assert second.score == 10.0


def test_an_answer_without_a_number_scores_zero_by_default(reranker: Reranker, backend: RednessBackend) -> None:
    backend.template = "I cannot say."
    result = next(reranker.stream("red", [red(255)]))
    assert (result.score, result.parsed and result.parsed.tier) == (0.0, "default")


def test_whether_a_model_writes_scores_is_probed(backend: RednessBackend) -> None:
    assert can_generate_score(backend)
    backend.template = "yes"
    assert not can_generate_score(backend)


def test_an_image_with_cached_features_keeps_its_notes(reranker: Reranker, backend: RednessBackend) -> None:
    transparent = encode(Image.new("RGBA", (64, 48), (255, 0, 0, 128)))
    reranker.encode_image(transparent)
    result = next(reranker.stream("red", [transparent]))
    assert result.notes == ("alpha_flattened",)
    assert result.score > 0


def test_near_duplicates_are_looked_for_among_images_prepared_with_the_same_options(reranker: Reranker) -> None:
    hashes = [read_image(red(amount)).content_hash for amount in (50, 60, 70)]
    for amount in (50, 70):
        reranker.encode_image(red(amount))
    assert reranker.near_duplicates(hashes) == ((0, 2),)
    assert reranker.near_duplicates(hashes, options=ScoringOptions(fit="whole")) == ((),)


def test_a_prepared_image_is_scored_as_it_was_read(reranker: Reranker, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(red(255))
    prepared = reranker.prepare(path)
    path.write_bytes(b"another content")
    result = next(reranker.stream("red", [prepared]))
    assert (result.score, result.name, result.problem) == (10.0, "a.png", None)


def test_an_image_that_cannot_be_prepared_has_its_problem(reranker: Reranker, tmp_path: Path) -> None:
    prepared = [reranker.prepare(tmp_path / "missing.png"), reranker.prepare(b"")]
    assert [result.problem and result.problem.code for result in reranker.stream("red", prepared)] == [
        "not_found",
        "empty",
    ]


def test_images_are_prepared_to_fit_the_ranking(reranker: Reranker) -> None:
    crop, whole = (reranker.prepare(red(255), options=ScoringOptions(fit=fit)) for fit in ("crop", "whole"))
    assert crop.image.size == (384, 384) and whole.image.size != (384, 384)


def test_names_come_from_paths(reranker: Reranker, tmp_path: Path) -> None:
    path = tmp_path / "猫 b.png"
    path.write_bytes(red(9))
    assert next(reranker.stream("red", [path])).name == path.name


def test_two_threads_rank_with_options_of_their_own_through_one_reranker(
    reranker: Reranker, backend: RednessBackend
) -> None:
    amounts = range(0, 250, 5)
    both_started = Barrier(2)
    generate, yes_no = ScoringOptions("generate"), ScoringOptions("yes_no", instruction="Find red.", fit="whole")

    def images() -> Iterator[bytes]:
        both_started.wait(10)
        yield from map(red, amounts)

    def rank(options: ScoringOptions) -> list[str]:
        return [result.method for result in reranker.stream("red", images(), options=options)]

    with ThreadPoolExecutor(2) as pool:
        methods = list(pool.map(rank, [generate, yes_no]))
    assert methods == [["generate"] * len(amounts), ["yes_no"] * len(amounts)]
    assert len(backend.scored) == 2 * len(amounts)
    assert (reranker.options, reranker.method) == (ScoringOptions(), "generate")


def test_options_decide_the_query_and_the_messages() -> None:
    assert ScoringOptions(normalize=True).query("RED Mug").normalized == "red mug"
    assert ScoringOptions(normalize=False).query("RED Mug").normalized == "RED Mug"
    assert "Find red." in str(ScoringOptions("yes_no", instruction="Find red.").messages("a mug"))
    assert '"yes" or "no"' in str(ScoringOptions("yes_no").messages("a mug"))
    assert '"yes" or "no"' not in str(ScoringOptions("generate").messages("a mug"))
