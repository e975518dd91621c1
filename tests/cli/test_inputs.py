"""Which images and queries the command line stands for."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lychee_rerank.cli import inputs
from lychee_rerank.cli.inputs import read_queries, resolve_images
from lychee_rerank.errors import InputError
from support.fake_cli import rank_names, run_command

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
pytestmark = pytest.mark.usefixtures("reranker")


def test_a_folder_stands_for_its_images(shop: Path, best_first: list[str]) -> None:
    assert rank_names(shop) == best_first


def test_a_folder_includes_the_folders_below_it(shop: Path, best_first: list[str]) -> None:
    assert rank_names(shop.parent) == best_first


def test_files_named_one_by_one_and_twice_are_taken_once(shop: Path) -> None:
    assert rank_names(shop / "night.png", shop / "dusk.png", shop / "night.png") == ["dusk.png", "night.png"]


def test_a_glob_stands_for_its_matches(shop: Path) -> None:
    assert rank_names(f"{shop}/*n*.png") == ["noon[1].png", "night.png"]


def test_a_glob_stands_for_the_images_in_folders_that_it_matches(shop: Path, best_first: list[str]) -> None:
    assert rank_names(f"{shop.parent}/sh*") == best_first


def test_a_glob_passes_over_folders_of_the_system_unless_it_names_them(shop: Path) -> None:
    (shop / "@eaDir").mkdir()
    (shop / "night.png").rename(shop / "@eaDir" / "night.png")
    assert "night.png" not in rank_names(f"{shop}/**/*.png")
    assert rank_names(f"{shop}/@eaDir/*.png") == ["night.png"]


def test_what_is_left_out_of_folders_and_globs_is_said_once(shop: Path) -> None:
    for name in ("a.jxl", "b.jxl", "c.jxl", "d.svg", "e.svg"):
        (shop / name).touch()
    expected = "5 left out: 3 .jxl, 2 .svg."
    for pattern in (shop, f"{shop}/*"):
        assert run_command("rank", "bright", pattern, "--quiet").stderr.splitlines() == [expected]


def test_where_everything_is_left_out_the_refusal_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").touch()
    result = run_command("rank", "bright", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [f"There is no picture in {str(tmp_path)!r}. 1 left out: 1 .jxl."]


def test_folders_that_cannot_be_opened_are_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "closed").mkdir()

    def scandir(folder: Path) -> object:
        if "closed" in str(folder):
            raise PermissionError(13, "Permission denied")
        return os_scandir(folder)

    os_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    lines = run_command("rank", "bright", shop, "--quiet").stderr.splitlines()
    assert lines == [f"1 folder cannot be opened: {shop / 'closed'}."]
    result = run_command("rank", "bright", shop / "closed")
    assert (result.exit_code, result.stderr) == (2, f"The folder {str(shop / 'closed')!r} cannot be opened.\n")


def test_a_name_that_looks_like_a_glob_but_is_a_file_is_that_file(shop: Path) -> None:
    assert rank_names(shop / "noon[1].png") == ["noon[1].png"]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_dash_reads_a_list_from_stdin(shop: Path, best_first: list[str], separator: str) -> None:
    assert rank_names("-", stdin=separator.join(map(str, sorted(shop.iterdir())))) == best_first


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_may_be_in_the_encodings_of_windows(shop: Path, best_first: list[str], encoding: str) -> None:
    lines = "".join(f"{path}\r\n" for path in sorted(shop.iterdir()))
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    assert rank_names("-", stdin=(mark + lines).encode(encoding)) == best_first


def test_a_list_may_hold_quoted_paths_and_addresses_of_files(shop: Path) -> None:
    lines = ["", f'"{shop / "night.png"}"', (shop / "白天.png").as_uri(), f" {shop / 'dusk.png'} "]
    assert rank_names("-", stdin="\r\n".join(lines)) == ["白天.png", "dusk.png", "night.png"]
    assert rank_names((shop / "白天.png").as_uri(), f'"{shop / "dusk.png"}"') == ["白天.png", "dusk.png"]


@posix
def test_listed_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/Mu\xf1oz.png"
    Image.new("L", (8, 8), 9).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", raw)
    for separator in (b"\n", b"\r\n", b"\0"):
        assert rank_names("-", stdin=raw + separator) == [os.fsdecode(b"Mu\xf1oz.png")]


def test_a_listed_file_that_is_missing_ranks_last_and_ends_nothing(shop: Path) -> None:
    assert rank_names("-", stdin=f"{shop}/gone.png\n{shop}/dusk.png\n") == ["dusk.png", "gone.png"]


@posix
def test_a_list_separated_by_nulls_takes_names_that_end_in_a_newline(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 9).save(tmp_path / "x.png")
    renamed = (tmp_path / "x.png").rename(tmp_path / "x.png\n")
    assert rank_names("-", stdin=f"{renamed}\0") == ["x.png\n"]


def test_a_query_file_gives_each_line_once_without_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("\ufeff红苹果\n\n a mug \r\n红苹果\n", "utf-8")
    assert read_queries(tmp_path / "q.txt") == ["红苹果", "a mug"]


def test_a_query_file_may_be_as_powershell_writes_it(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("红苹果\r\na mug\r\n", "utf-16", newline="")
    assert read_queries(tmp_path / "q.txt") == ["红苹果", "a mug"]


@pytest.mark.parametrize("data", ["红苹果".encode("gb18030"), "a mug".encode("utf-16-le")])
def test_a_query_file_in_another_encoding_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "q.txt").write_bytes(data)
    with pytest.raises(InputError, match="not text in UTF-8 or UTF-16; save it in an editor with the encoding UTF-8"):
        read_queries(tmp_path / "q.txt")


@posix
def test_a_query_file_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "q")
    with pytest.raises(InputError, match="it is not a regular file"):
        read_queries(tmp_path / "q")


def test_a_closed_stdin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="Stdin is closed"):
        resolve_images(["-"])


def test_a_stdin_that_never_ends_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_BYTES", 100)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(bytes(200))))
    with pytest.raises(InputError, match="that is no list"):
        resolve_images(["-"])


def test_a_query_file_with_more_than_1000_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("\n".join(map(str, range(1001))), "utf-8")
    with pytest.raises(InputError, match="There are 1001 queries in .*; there can be 1 to 1000 at a time"):
        read_queries(tmp_path / "q.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bright", "nowhere"], "There is no file, folder or match for 'nowhere'."),
        (["bright"], "There is no picture to score"),
        (["bright", "SHOP/empty"], "There is no picture in "),
        (["bright", "-"], "There is no picture in the list on stdin"),
        (["--queries", "none.txt", "SHOP"], "The queries cannot be read from none.txt"),
        (["bright", "~no-such-user/x"], "There is no file, folder or match for '~no-such-user/x'."),
        pytest.param(["bright", "a" * 300], "cannot be opened: File name too long.", marks=posix),
        pytest.param(["--queries", "a" * 300, "SHOP"], ": File name too long.", marks=posix),
        (["--queries", "SHOP", "SHOP"], ": it is a folder."),
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
