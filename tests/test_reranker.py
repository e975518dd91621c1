"""The engine around a small stand-in model whose answers follow how red a picture is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from lychee_rerank.errors import ModelError, OutOfMemoryError, QueryError
from lychee_rerank.images.prefetch import PreparedImage
from lychee_rerank.model.vlm import GenerationOutput, YesNoOutput
from lychee_rerank.reranker import Reranker
from lychee_rerank.text.prompts import Messages
from lychee_rerank.weights.locate import Checkpoint
from support.images import encoded


@dataclass
class RednessJudge:
    """Says how red a picture is. `failures` are raised one after the other before it answers again."""

    failures: list[Exception] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    text: str = "Score: {score:.1f}. Reason: it is red."

    def score_yes_no(self, messages: Messages, picture: PreparedImage) -> YesNoOutput:
        probability = self._redness(picture)
        return YesNoOutput(probability, "yes" if probability > 0.5 else "no")

    def generate(
        self, messages: Messages, picture: PreparedImage, *, stop: Callable[[str], bool], written: tuple[int, ...] = ()
    ) -> GenerationOutput:
        whole = self.text.format(score=10 * self._redness(picture))
        for end in range(len(written), len(whole) + 1):
            if stop(whole[:end]):
                return GenerationOutput(whole[:end], tuple(range(end)), False)
        return GenerationOutput(whole, tuple(range(len(whole))), True)

    def has_image_features(self, key: str) -> bool:
        return key in self.kept

    def encode_image(self, picture: PreparedImage) -> None:
        self.kept.add(picture.key)

    def clear_cache(self) -> None:
        self.kept.clear()

    def prompt_text(self, messages: Messages) -> str:
        return str(messages)

    def _redness(self, picture: PreparedImage) -> float:
        if self.failures:
            raise self.failures.pop(0)
        self.seen.append(picture.name)
        red, green, _ = ImageStat.Stat(picture.image).mean
        return max(0.0, red - green) / 255


def red(amount: int) -> bytes:
    return encoded(Image.new("RGB", (64, 48), (amount, 0, 0)))


@pytest.fixture
def judge() -> RednessJudge:
    return RednessJudge()


@pytest.fixture
def reranker(judge: RednessJudge) -> Reranker:
    return Reranker(judge, checkpoint=Checkpoint(Path("x"), "stand-in", "argument"))


def test_rank_puts_the_best_first_and_pictures_without_a_score_last(reranker: Reranker) -> None:
    ranking = reranker.rank("red", [red(50), b"not a picture", red(250), red(120)])
    assert [result.index for result in ranking] == [2, 3, 0, 1]
    assert [result.rank for result in ranking] == [1, 2, 3, 4]
    assert ranking[-1].score == 0.0
    assert ranking[-1].error == "This is not a picture in a format that can be read."


def test_ties_keep_the_order_of_the_input(reranker: Reranker) -> None:
    assert [result.index for result in reranker.rank("red", [red(100), red(100), red(100)])] == [0, 1, 2]


def test_a_bad_picture_costs_no_model_time(reranker: Reranker, judge: RednessJudge) -> None:
    list(reranker.stream("red", [b"", red(10)]))
    assert len(judge.seen) == 1


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


def test_an_abandoned_stream_runs_the_model_no_further(reranker: Reranker, judge: RednessJudge) -> None:
    results = reranker.stream("red", [red(10)] * 50)
    next(results)
    results.close()
    assert len(judge.seen) == 1


def test_a_bad_query_is_refused_before_any_model_work(reranker: Reranker, judge: RednessJudge) -> None:
    with pytest.raises(QueryError):
        reranker.stream("！？", [red(10)])
    assert judge.seen == []


def test_yes_no_shows_ten_times_the_probability(reranker: Reranker) -> None:
    reranker.options = replace(reranker.options, method="yes_no")
    result = next(reranker.stream("red", [red(255)]))
    assert (result.score, result.probability, result.answer) == (10.0, 1.0, "yes")
    assert result.parsed is None


def test_writing_stops_once_the_score_stands_and_explain_carries_on(reranker: Reranker) -> None:
    result = next(reranker.stream("red", [red(255)]))
    assert result.score == 10.0
    assert not result.finished
    assert "red" not in result.answer
    told = reranker.explain("red", result, red(255))
    assert told.answer == "Score: 10.0. Reason: it is red."
    assert told.finished


def test_running_out_of_memory_once_is_survived(reranker: Reranker, judge: RednessJudge) -> None:
    judge.failures = [OutOfMemoryError("full")]
    result = next(reranker.stream("red", [red(255)]))
    assert (result.score, result.problem) == (10.0, None)


def test_running_out_of_memory_twice_marks_that_picture_alone(reranker: Reranker, judge: RednessJudge) -> None:
    judge.failures = [OutOfMemoryError("full"), OutOfMemoryError("full")]
    first, second = reranker.stream("red", [red(255), red(255)])
    assert first.problem is not None
    assert first.problem.code == "out_of_memory"
    assert second.score == 10.0


def test_a_model_failure_marks_that_picture_alone(reranker: Reranker, judge: RednessJudge) -> None:
    judge.failures = [ModelError("odd shape")]
    first, second = reranker.stream("red", [red(255), red(255)])
    assert first.error == "The model failed on this picture: odd shape."
    assert second.score == 10.0


def test_an_answer_without_a_number_is_zero_by_default(reranker: Reranker, judge: RednessJudge) -> None:
    judge.text = "I cannot say."
    result = next(reranker.stream("red", [red(255)]))
    assert (result.score, result.parsed and result.parsed.tier) == (0.0, "default")


def test_auto_finds_out_whether_the_model_writes_scores(reranker: Reranker, judge: RednessJudge) -> None:
    assert reranker._can_generate_score()
    judge.text = "yes"
    assert not reranker._can_generate_score()


def test_notes_of_a_known_picture_stay_with_it(reranker: Reranker, judge: RednessJudge) -> None:
    clear = encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 128)))
    reranker.encode_image(clear)
    result = next(reranker.stream("red", [clear]))
    assert result.notes == ("alpha_flattened",)
    assert result.score > 0


def test_names_come_from_paths(reranker: Reranker, tmp_path: Path) -> None:
    path = tmp_path / "猫 <b>.png".replace("<b>", "b")
    path.write_bytes(red(9))
    assert next(reranker.stream("red", [path])).name == path.name
