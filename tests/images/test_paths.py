"""Paths are understood as people paste them, and names can be shown and encoded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.images.paths import access_error, encodable, parse_path, printable_name

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # with surrogates


@given(ANY_TEXT)
def test_a_printable_name_can_be_encoded_and_stays_on_one_line(name: str) -> None:
    shown = printable_name(name)
    assert len(shown) == len(name) and shown.encode() is not None
    assert len(shown.splitlines()) <= 1


def test_names_that_can_be_shown_stay_as_they_are() -> None:
    for name in ("荔枝 (1).jpg", "\u202egpj.png", "🐱.png", "é.png", r"a\b.png"):
        assert printable_name(name) == encodable(name) == name


def test_bytes_that_are_no_text_are_shown_as_a_question_mark() -> None:
    assert printable_name("Mu\udcf1oz\n.jpg") == "Mu\ufffdoz\ufffd.jpg"
    assert encodable("Mu\udcf1oz\n.jpg") == "Mu\ufffdoz\n.jpg"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a/b.jpg", "/a/b.jpg"),
        ('"/a/b c.jpg"', "/a/b c.jpg"),
        ("'/a/b c.jpg'", "/a/b c.jpg"),
        (r'"C:\x\a.jpg"', r"C:\x\a.jpg"),
        ("\u202aC:\\x\\a.jpg\u202c", r"C:\x\a.jpg"),
        ("  /a/b.jpg \n", "/a/b.jpg"),
        ("file:///a/b%20c.jpg", "/a/b c.jpg"),
        ("FILE://localhost/a/%E8%8D%94.jpg", "/a/荔.jpg"),
        ("file:///C:/x/a.jpg", "C:/x/a.jpg"),
        ("file://server/share/a.jpg", "//server/share/a.jpg"),
        ("file:/a/b.jpg", "/a/b.jpg"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("a.jpg", "a.jpg"),
        ('"', '"'),
        ('""', ""),
        ("", ""),
    ],
)
def test_a_path_is_read_as_it_is_pasted(text: str, path: str) -> None:
    assert parse_path(text) == path


def test_the_home_directory_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert parse_path("~/a.jpg") == f"{tmp_path}/a.jpg"


def test_a_file_whose_name_looks_like_something_else_is_that_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("'a'", " a ", "~"):
        Path(name).touch()
        assert parse_path(name) == name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_bytes_in_an_address_that_are_no_text_survive() -> None:
    assert parse_path("file:///Mu%F1oz.jpg") == os.fsdecode(b"/Mu\xf1oz.jpg")


@given(ANY_TEXT)
def test_nothing_that_is_typed_raises(text: str) -> None:
    access_error(parse_path(text))
    parse_path(f"file:///{text}")
    parse_path(f"~{text}")


def test_what_is_missing_is_no_error_of_access_and_what_cannot_be_named_is(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert access_error(tmp_path) == access_error(tmp_path / "gone") == access_error(tmp_path / "a" / "b") == ""
    assert access_error("a\0b") == ""
    assert access_error("x" * 5000)
