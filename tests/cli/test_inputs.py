"""Which images and queries the command line stands for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.cli.inputs import read_queries
from lychee_rerank.errors import InputError
from support.fake_cli import rank_names, run_command

pytestmark = pytest.mark.usefixtures("reranker")


def test_a_folder_stands_for_its_images(shop: Path, best_first: list[str]) -> None:
    assert rank_names(shop) == best_first


def test_a_folder_includes_the_folders_below_it(shop: Path, best_first: list[str]) -> None:
    assert rank_names(shop.parent) == best_first


def test_files_named_one_by_one_and_twice_are_taken_once(shop: Path) -> None:
    assert rank_names(shop / "night.png", shop / "dusk.png", shop / "night.png") == ["dusk.png", "night.png"]


def test_a_glob_stands_for_its_matches(shop: Path) -> None:
    assert rank_names(f"{shop}/*n*.png") == ["noon[1].png", "night.png"]


def test_a_name_that_looks_like_a_glob_but_is_a_file_is_that_file(shop: Path) -> None:
    assert rank_names(shop / "noon[1].png") == ["noon[1].png"]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_dash_reads_a_list_from_stdin(shop: Path, best_first: list[str], separator: str) -> None:
    assert rank_names("-", stdin=separator.join(map(str, sorted(shop.iterdir())))) == best_first


def test_a_listed_file_that_is_missing_ranks_last_and_ends_nothing(shop: Path) -> None:
    assert rank_names("-", stdin=f"{shop}/gone.png\n{shop}/dusk.png\n") == ["dusk.png", "gone.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_list_separated_by_nulls_takes_names_that_end_in_a_newline(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 9).save(tmp_path / "x.png")
    renamed = (tmp_path / "x.png").rename(tmp_path / "x.png\n")
    assert rank_names("-", stdin=f"{renamed}\0") == ["x.png\n"]


def test_a_query_file_gives_each_line_once_without_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("\ufeff红苹果\n\n a mug \r\n红苹果\n", "utf-8")
    assert read_queries(tmp_path / "q.txt") == ["红苹果", "a mug"]


def test_a_query_file_with_more_than_200_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("\n".join(map(str, range(201))), "utf-8")
    with pytest.raises(InputError, match="There are 201 queries in .*; there can be 1 to 200 at a time"):
        read_queries(tmp_path / "q.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bright", "nowhere"], "There is no file, folder or match for 'nowhere'."),
        (["bright"], "There is no picture to score"),
        (["bright", "SHOP/empty"], "There is no picture in "),
        (["bright", "-"], "There is no picture in the list on stdin"),
        (["--queries", "none.txt", "SHOP"], "The queries cannot be read from none.txt"),
        (["--queries", "SHOP", "SHOP"], ": Is a directory."),
        (["--queries", "SHOP/dusk.png", "SHOP"], "it is not text in UTF-8"),
    ],
)
def test_inputs_that_cannot_be_used_end_with_code_2_and_one_line(
    shop: Path, arguments: list[str], message: str
) -> None:
    (shop / "empty").mkdir()
    result = run_command("rank", *(argument.replace("SHOP", str(shop)) for argument in arguments), stdin="")
    assert result.exit_code == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1
