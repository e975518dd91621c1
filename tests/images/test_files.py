"""Image files are found, read within limits and identified by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from lychee_rerank.images.files import MAX_BYTES, UnusableImageError, find_images, has_image_suffix, read_bytes
from lychee_rerank.images.load import load_image
from support.images import encode, patchwork


def problem_code(source: bytes | str | Path) -> str:
    with pytest.raises(UnusableImageError) as refused:
        read_bytes(source)
    return refused.value.problem.code


def test_images_are_found_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.JPG", "a/1.webp", ".hidden/x.png", ".h.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert paths == ["a/1.webp", "b2.JPG", "b10.png"]


def test_image_suffixes_are_known_in_any_case() -> None:
    assert has_image_suffix("X.HEIC")
    assert not has_image_suffix("x.svg")


def test_bytes_and_files_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    assert read_bytes(path) == read_bytes(str(path)) == read_bytes(b"content") == b"content"


def test_files_over_the_limit_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    problem = load_image(huge).problem
    assert problem is not None
    assert (problem.code, problem.size, problem.limit) == ("too_many_bytes", MAX_BYTES + 1, MAX_BYTES)


def test_missing_files_folders_and_impossible_names_have_their_reasons(tmp_path: Path) -> None:
    assert problem_code(tmp_path / "none.png") == "not_found"
    assert problem_code(tmp_path) in ("unreadable", "not_found")
    assert problem_code("a\0b.png") in ("unreadable", "not_found")


def test_an_empty_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert problem_code(tmp_path / "empty.png") == problem_code(b"") == "empty"


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encode(patchwork(4), "WEBP"))
    assert load_image(path).error is None
    assert load_image(path).content_hash == load_image(path.read_bytes()).content_hash
