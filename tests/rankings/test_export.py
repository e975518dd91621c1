"""A ranking as CSV, JSON and ZIP."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.errors import PictureProblem
from lychee_rerank.rankings.export import (
    COLUMNS,
    MissingImageError,
    encode_json,
    rank_width,
    ranked_folder,
    ranked_name,
    record,
    to_csv,
    to_json,
    to_zip,
)
from lychee_rerank.rankings.marks import Mark
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.query import normalize_query
from lychee_rerank.text.score_parser import ParsedScore

BEST = ImageScore(
    index=1,
    name="白色连衣裙 海边.jpg",
    score=8.6,
    method="generate",
    answer='得分：8.6分。\n理由：主体清晰, "阳光"。',
    parsed=ParsedScore(value=8.6, tier="primary", span=(3, 6)),
    rank=1,
    seconds=0.25,
    notes=("exif_rotated", "alpha_flattened"),
)
SECOND = ImageScore(index=2, name="b.png", score=3.25, method="yes_no", answer="no", probability=0.325, rank=2)
BROKEN = ImageScore(
    index=0, name="坏.png", score=0.0, method="generate", rank=3, problem=PictureProblem("empty", size=0)
)
FAILURE = PictureProblem("model_failed", detail="GPU lost")
WITH_CONDITIONS = replace(
    BEST, conditions=(ConditionScore("海边", 7.12344), ConditionScore("阳光", 0.0, problem=FAILURE))
)
RANKING = [BEST, SECOND, BROKEN]
QUERY = normalize_query("海边 RED")


def read_rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def test_csv_starts_with_a_byte_order_mark_and_ends_lines_as_excel_expects() -> None:
    table = to_csv(RANKING, query="海边")
    assert table.startswith(b"\xef\xbb\xbfquery,rank,score,name,")
    assert table.count(b"\r\n") == 4


def test_csv_reads_back_as_it_was_written() -> None:
    best, second, broken = read_rows(to_csv(RANKING, query="海边"))
    assert (best["query"], best["rank"], best["score"], best["name"]) == ("海边", "1", "8.6", BEST.name)
    assert (best["answer"], best["tier"], best["notes"]) == (BEST.answer, "primary", "exif_rotated alpha_flattened")
    assert (second["probability"], second["tier"]) == ("0.325", "")
    assert (broken["score"], broken["error"]) == ("", "empty: The file is empty (0 bytes).")


def test_tables_of_several_queries_can_be_joined() -> None:
    joined = to_csv(RANKING, query="cat") + to_csv(RANKING, query="狗", header=False)
    assert [row["query"] for row in read_rows(joined)] == ["cat"] * 3 + ["狗"] * 3


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋"])
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    formula = f"{start}HYPERLINK(1)"
    (row,) = read_rows(to_csv([replace(BEST, name=formula, answer=formula)], query=formula))
    assert row["name"] == row["answer"] == row["query"] == f"'{formula}"


@pytest.mark.parametrize("between", [" ", "\u00a0", "\u3000", "\u200b", "\ufeff", '"', "\x07 \u202e"])
def test_spaces_quotes_and_invisible_characters_hide_no_formula(between: str) -> None:
    (row,) = read_rows(to_csv([replace(BEST, name=f"{between}=1+1")]))
    assert row["name"] == f"'{between}=1+1"


@pytest.mark.parametrize("split", [";", "\t", "\n", "\r\n", "; "])
def test_a_formula_in_the_middle_gets_an_apostrophe_where_a_spreadsheet_may_split_the_cell(split: str) -> None:
    name = f"a{split}=1+1{split}b-c"
    (row,) = read_rows(to_csv([replace(BEST, name=name)]))
    assert row["name"] == name.replace(f"{split}=", f"{split.rstrip(' ')}'{split[len(split.rstrip(' ')) :]}=")


@given(text=st.text(st.sampled_from('=+-@ab; \t\n\r"\u200b'), max_size=12))
def test_no_cell_is_a_formula_however_the_table_is_split(text: str) -> None:
    problem = PictureProblem("model_failed", detail=text)
    for result in (replace(BEST, name=text, answer=text), replace(BROKEN, problem=problem)):
        table = to_csv([result], query=text).decode("utf-8-sig")
        cells = [cell for row in read_rows(table.encode()) for cell in row.values()] + re.split(r"[;\t\r\n]", table)
        assert not any(cell.strip(' "\u200b').startswith(tuple("=+-@")) for cell in cells)


@pytest.mark.parametrize("harmless", ["a=b.jpg", "8.6分", "'quoted'", "cat-dog@home.png", " spaced", "a; b\nc", "1,-2"])
def test_any_other_text_stays_as_it_is_in_csv(harmless: str) -> None:
    (row,) = read_rows(to_csv([replace(BEST, name=harmless)]))
    assert row["name"] == harmless


@given(name=st.text(), answer=st.text())
def test_any_text_survives_csv_and_json(name: str, answer: str) -> None:
    result = replace(BEST, name=name, answer=answer)
    (row,) = read_rows(to_csv([result]))
    assert row["rank"] == "1" and row["index"] == "1"
    assert json.loads(to_json([result], query=QUERY, model="demo"))["results"][0]["answer"] == answer


def test_json_holds_the_documented_fields_in_order() -> None:
    document = json.loads(to_json(RANKING, query=QUERY, model="demo"))
    assert list(document) == ["query", "normalized", "model", "results"]
    assert all(tuple(result) == (*COLUMNS, "conditions") for result in document["results"])
    assert (document["query"], document["normalized"]) == ("海边 RED", QUERY.normalized)
    assert document["results"][0]["score"] == 8.6
    assert document["results"][2]["score"] is None
    assert document["results"][2]["error"] == {"code": "empty", "message": "The file is empty (0 bytes)."}


def test_a_condition_is_a_column_by_which_a_spreadsheet_can_sort_and_empty_where_it_was_not_scored() -> None:
    best, second, _ = read_rows(to_csv([WITH_CONDITIONS, SECOND, BROKEN], conditions=("海边", "阳光")))
    assert list(best)[-3:] == ["mark", "海边", "阳光"]
    assert (best["海边"], best["阳光"]) == ("7.1234", "")
    assert (second["海边"], second["阳光"]) == ("", "")


def test_a_condition_named_like_another_column_or_a_formula_gets_a_column_of_its_own() -> None:
    result = replace(BEST, conditions=(ConditionScore("score", 1.5), ConditionScore("=1+1", 2.5)))
    (row,) = read_rows(to_csv([result], conditions=("score", "=1+1")))
    assert (row["score"], row["score (condition)"], row["'=1+1"]) == ("8.6", "1.5", "2.5")


def test_json_lists_the_conditions_of_an_image_and_why_one_has_no_score() -> None:
    best, second = json.loads(to_json([WITH_CONDITIONS, SECOND], query=QUERY, model="demo"))["results"]
    assert best["conditions"][0] == {"text": "海边", "score": 7.12344}
    assert best["conditions"][1]["score"] is None and best["conditions"][1]["error"]["code"] == "model_failed"
    assert second["conditions"] == []


def test_marks_are_those_of_the_images_whatever_their_rank() -> None:
    marks: dict[int, Mark] = {BEST.index: "kept", BROKEN.index: "rejected"}
    assert [row["mark"] for row in read_rows(to_csv(RANKING, marks=marks))] == ["kept", "", "rejected"]
    results = json.loads(to_json(RANKING, query=QUERY, model="demo", marks=marks))["results"]
    assert [result["mark"] for result in results] == ["kept", None, "rejected"]


def test_json_leaves_chinese_readable() -> None:
    assert "白色连衣裙".encode() in to_json(RANKING, query=QUERY, model="demo")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_written_result_by_result_is_that_of_the_whole_document(count: int) -> None:
    ranking = [replace(result, answer="[]\n\u2028 a") for result in RANKING[:count]]
    document = {"query": QUERY.text, "normalized": QUERY.normalized, "model": "[]"}
    whole = encode_json(document | {"results": [record(result) for result in ranking]}, indent=2)
    assert to_json(iter(ranking), query=QUERY, model="[]") == whole


def test_a_file_name_that_is_not_valid_text_becomes_a_json_escape() -> None:
    line = encode_json(record(replace(BEST, name="a\udcff.jpg")))
    assert b"a\\udcff.jpg" in line
    assert json.loads(line)["name"] == "a\udcff.jpg"


def test_zip_holds_the_top_images_unchanged_and_named_by_rank(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"first")
    target = io.BytesIO()
    to_zip(RANKING, [b"", tmp_path / "x.jpg", b"second"], 5, target)
    archive = zipfile.ZipFile(target)
    assert archive.namelist() == ["001_8.6_白色连衣裙 海边.jpg", "002_3.2_b.png"]
    assert [archive.read(name) for name in archive.namelist()] == [b"first", b"second"]


def test_zip_takes_no_more_than_asked_and_keeps_equal_names_apart() -> None:
    twins = [ImageScore(index=n, name="same.jpg", score=5.0, method="yes_no", rank=n + 1) for n in range(3)]
    target = io.BytesIO()
    to_zip(twins, [b"0", b"1", b"2"], 2, target)
    assert zipfile.ZipFile(target).namelist() == ["001_5.0_same.jpg", "002_5.0_same.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_images_that_cannot_be_read_any_more_are_named_in_the_zip_and_the_others_are_in_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    sources: list[bytes | Path] = [tmp_path / "gone\udcff.jpg", b"there", b"", tmp_path / "pipe.jpg", tmp_path]
    results = [
        ImageScore(index=n, name=f"{n}\udcff.jpg", score=5.0, method="yes_no", rank=n + 1) for n in range(len(sources))
    ]
    target = io.BytesIO()
    missing = to_zip(results, sources, 5, target)
    archive = zipfile.ZipFile(target)
    assert missing == ["001_5.0_0_.jpg", "003_5.0_2_.jpg", "004_5.0_3_.jpg", "005_5.0_4_.jpg"]
    assert archive.namelist() == ["002_5.0_1_.jpg", "MISSING.txt"] and archive.testzip() is None
    names = archive.read("MISSING.txt").decode("utf-8-sig").splitlines()[-4:]
    assert names[:2] == ["0\\udcff.jpg (it is no longer there)", "2\\udcff.jpg (it was not kept)"]


def test_an_image_that_breaks_off_while_it_is_packed_is_not_in_the_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.jpg").write_bytes(b"first")

    def break_off(file: Path) -> Iterator[bytes]:
        yield b"fi"
        raise MissingImageError("Input/output error")

    monkeypatch.setattr("lychee_rerank.rankings.export.read_chunks", break_off)
    target = io.BytesIO()
    assert to_zip([BEST, SECOND], [b"", tmp_path / "x.jpg", b"second"], 2, target) == ["001_8.6_白色连衣裙 海边.jpg"]
    archive = zipfile.ZipFile(target)
    assert archive.namelist() == ["002_3.2_b.png", "MISSING.txt"] and archive.testzip() is None


def test_zip_of_big_files_needs_little_memory(tmp_path: Path) -> None:
    big = tmp_path / "big.psd"
    with big.open("wb") as file:
        file.truncate(64 * 2**20)
    with (tmp_path / "out.zip").open("wb") as target:
        tracemalloc.start()
        to_zip([BEST, SECOND], [b"", big, big], 2, target)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.jpg", "001_8.6_cat.jpg"),
        ("../../etc/passwd", "001_8.6_passwd"),
        ("C:\\Users\\me\\CON.png", "001_8.6_CON.png"),
        ("shop/女装/裙 子.webp", "001_8.6_裙 子.webp"),
        ('a<b>:"c|?*.jpg', "001_8.6_a_b___c___.jpg"),
        ("..", "001_8.6_picture"),
        ("", "001_8.6_picture"),
        ("trailing. . ", "001_8.6_trailing"),
        ("\u202egpj.exe.jpg", "001_8.6__gpj.exe.jpg"),
        ("👨‍👩‍👧.png", "001_8.6_👨‍👩‍👧.png"),
    ],
)
def test_names_in_the_zip_are_plain_file_names_everywhere(name: str, expected: str) -> None:
    assert ranked_name(replace(BEST, name=name)) == expected


@given(st.text())
def test_no_name_can_leave_its_folder_or_upset_windows(name: str) -> None:
    safe = ranked_name(replace(BEST, name=name))
    assert safe.startswith("001_8.6_") and len(safe.encode()) <= 200
    assert PureWindowsPath(safe).name == safe and not safe.endswith((".", " "))
    assert not set(safe) & set('<>:"/\\|?*\n\r\t\x00')


def test_a_long_name_keeps_its_suffix() -> None:
    assert ranked_name(replace(BEST, name="长" * 200 + ".jpeg")).endswith("长.jpeg")


@pytest.mark.parametrize("count", [9, 999, 1000, 12_345])
def test_names_in_order_are_ranks_in_order_however_many_there_are(count: int) -> None:
    ranking = [replace(BEST, score=10 - 10 * rank / count, rank=rank) for rank in range(1, count + 1)]
    names = [ranked_name(result, rank_width(count)) for result in ranking]
    assert names == sorted(names)
    folders = [ranked_folder(number, "猫", count) for number in range(1, count + 1)]
    assert folders == sorted(folders)
    assert names[0] == f"{1:0{max(3, len(str(count)))}d}_{10 - 10 / count:.1f}_{BEST.name}"


def test_a_zip_of_more_than_999_images_is_in_order_by_name() -> None:
    ranking = [ImageScore(index=n, name="a.jpg", score=5.0, method="yes_no", rank=n + 1) for n in range(1000)]
    target = io.BytesIO()
    to_zip(ranking, [b"image"] * 1000, 1000, target)
    names = zipfile.ZipFile(target).namelist()
    assert names == sorted(names) and names[0] == "0001_5.0_a.jpg"
