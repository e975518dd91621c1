"""`lychee-rerank rank --conditions`: each condition of a query scored alone, kept, and written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lychee_rerank.model.backend import YesNoOutput
from support.fake_cli import BrightnessBackend, run_command

pytestmark = pytest.mark.usefixtures("reranker")
QUERY = "bright, dark"  # in which "dark" decides: the night comes first


def conditions(shop: Path, *arguments: str | Path) -> list[dict[str, float]]:
    """Of each image of the ranking, by their texts."""
    result = run_command("rank", QUERY, shop, "--conditions", "--json", "-", "--quiet", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    results = json.loads(result.stdout)["results"]
    return [{each["text"]: round(each["score"], 1) for each in entry["conditions"]} for entry in results]


def test_every_condition_is_scored_alone(shop: Path) -> None:
    night, dusk, day, noon = conditions(shop)
    assert night == {"bright": 0.4, "dark": 9.6} and noon == {"bright": 9.8, "dark": 0.2}
    assert dusk == {"bright": 3.5, "dark": 6.5} and day == {"bright": 7.8, "dark": 2.2}


def test_only_the_best_of_top_are_scored(shop: Path, backend: BrightnessBackend) -> None:
    assert len(conditions(shop, "--top", "2")) == 2
    assert len(backend.scored) == 4 + 2 * 2


def test_without_top_the_best_12_are_scored(
    shop: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lychee_rerank.cli.conditions.CONDITIONS_TOP", 1)
    assert [len(each) for each in conditions(shop)] == [2, 0, 0, 0]
    assert len(backend.scored) == 4 + 2


def test_no_condition_is_scored_twice_unless_fresh_asks_for_it(shop: Path, backend: BrightnessBackend) -> None:
    assert conditions(shop) == conditions(shop)
    assert len(backend.scored) == 4 + 4 * 2
    conditions(shop, "--fresh")
    assert len(backend.scored) == 2 * (4 + 4 * 2)


def test_a_stopped_run_continues_from_where_it_stopped(
    shop: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_yes_no = backend.score_yes_no

    def interrupted(*arguments: object) -> YesNoOutput:
        if len(backend.scored) == 4 + 3:
            raise KeyboardInterrupt
        return score_yes_no(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(backend, "score_yes_no", interrupted)
        result = run_command("rank", QUERY, shop, "--conditions", "--quiet")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("Stopped: 3 of 8 scores of conditions are kept; run the same command again")
    assert [len(each) for each in conditions(shop)] == [2] * 4
    assert len(backend.scored) == 4 + 4 * 2


def test_a_query_of_one_condition_is_said_on_stderr_and_scored_once(shop: Path, backend: BrightnessBackend) -> None:
    result = run_command("rank", "bright", shop, "--conditions", "--json", "-", "--quiet")
    assert result.stderr == "The query is a single condition, whose score is that of the ranking.\n"
    assert [each["conditions"] for each in json.loads(result.stdout)["results"]] == [[]] * 4
    assert len(backend.scored) == 4


def test_many_queries_share_a_table_with_a_column_for_each_of_their_conditions(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("bright, dark\nnoon\ndark, cold\n")
    result = run_command("rank", "--queries", tmp_path / "q.txt", shop, "--conditions", "--csv", "-", "--top", "1")
    assert "1 of 3 queries are a single condition" in result.stderr
    first, second, third = csv.DictReader(io.StringIO(result.stdout.removeprefix("\ufeff"), newline=""))
    assert list(first)[-3:] == ["bright", "dark", "cold"]
    assert [first[name] for name in ("bright", "dark", "cold")] == ["0.3922", "9.6078", ""]
    assert [second[name] for name in ("bright", "dark", "cold")] == ["", "", ""]
    assert [third[name] for name in ("bright", "dark", "cold")] == ["", "9.6078", "0.3922"]


def test_progress_names_the_conditions_and_the_lines_of_a_pipe_end_with_their_scores(shop: Path) -> None:
    result = run_command("rank", QUERY, shop, "--conditions", "--top", "1")
    assert [line.split("/")[0] for line in result.stderr.splitlines()] == ["1", "2", "3", "4", "1", "2"]
    assert result.stderr.splitlines()[-1].startswith("2/2 conditions: 9.6 ")
    assert result.stdout.splitlines()[0].split("\t")[3:] == ["", "0.3922", "9.6078"]


def test_an_image_that_changed_since_it_was_ranked_has_no_conditions(
    shop: Path, backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_yes_no = backend.score_yes_no

    def score_and_change(*arguments: object) -> YesNoOutput:
        if len(backend.scored) == 3:  # all are read by then
            (shop / "night.png").write_bytes((shop / "dusk.png").read_bytes())
        return score_yes_no(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backend, "score_yes_no", score_and_change)
    monkeypatch.setattr("lychee_rerank.cli.decode_ahead._MAX_IMAGES", 0)  # those are not read again
    assert sorted(len(each) for each in conditions(shop)) == [0, 2, 2, 2]
