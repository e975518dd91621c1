"""Folders of the best images, copied or linked."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lychee_rerank.cli.image_folder import IncompleteFolderError, copy, link, place_images
from lychee_rerank.errors import InputError
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import normalize_query
from support.fake_cli import run_command

pytestmark = pytest.mark.usefixtures("reranker")
QUERY = normalize_query("bright")


def test_images_are_copied_under_their_ranks(shop: Path, tmp_path: Path) -> None:
    run_command("rank", "bright", shop, "--top", "2", "--copy-to", tmp_path / "best")
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["001_9.8_noon[1].png", "002_7.8_白天.png"]
    assert (tmp_path / "best" / "002_7.8_白天.png").read_bytes() == (shop / "白天.png").read_bytes()


def test_images_are_linked_under_their_ranks(shop: Path, tmp_path: Path) -> None:
    run_command("rank", "bright", shop, "--link-to", tmp_path / "best")
    assert (tmp_path / "best" / "001_9.8_noon[1].png").samefile(shop / "noon[1].png")


def test_a_folder_left_by_an_interrupted_run_is_filled_anew(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = tmp_path / "best"
    with monkeypatch.context() as patched:
        patched.setattr("lychee_rerank.cli.rank.copy", interrupt_second_call(copy))
        result = run_command("rank", "bright", shop, "--quiet", "--copy-to", best)
    assert result.exit_code == 130 and "Stopped while writing; all scores are kept" in result.stderr
    assert run_command("rank", "bright", shop, "--quiet", "--top", "2", "--copy-to", best).exit_code == 0
    assert sorted(path.name for path in best.iterdir()) == ["001_9.8_noon[1].png", "002_7.8_白天.png"]


def interrupt_second_call(function: Callable[..., object]) -> Callable[..., object]:
    calls = []

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*arguments)

    return interrupted


def place(files: list[str], folder: Path, transfer: Callable[[Path, Path], None] = copy) -> None:
    results = [ImageScore(index=n, name=name, score=5.0, method="yes_no", rank=n + 1) for n, name in enumerate(files)]
    place_images([(folder, transfer)], lambda: [(QUERY, results)], files, query_count=None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_with(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("function", ["utime", "chmod"])
def test_a_share_that_refuses_dates_or_permissions_gets_every_copy(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(os, function, fail_with(errno.EPERM))
    result = run_command("rank", "bright", shop, "--quiet", "--copy-to", tmp_path / "best")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(names(tmp_path / "best")) == 4


def test_a_copy_has_the_date_of_its_image(shop: Path, tmp_path: Path) -> None:
    os.utime(shop / "dusk.png", (1_000_000_000,) * 2)
    place([str(shop / "dusk.png")], tmp_path / "best")
    assert (tmp_path / "best" / "001_5.0_dusk.png").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("transfer", [copy, link])
def test_images_that_are_gone_are_named_and_the_others_placed(
    shop: Path, tmp_path: Path, transfer: Callable[[Path, Path], None]
) -> None:
    files = [str(shop / name) for name in ("gone\n\udcff.png", "dusk.png", "", "night.png")]
    with pytest.raises(IncompleteFolderError) as incomplete:
        place(files, tmp_path / "best", transfer)
    assert str(incomplete.value) == (
        f"2 of the pictures could not be copied or linked, all others were: {shop}/gone\ufffd\ufffd.png (it is no "
        f"longer there), {shop} (it is no regular file any more)."
    )
    assert names(tmp_path / "best") == ["002_5.0_dusk.png", "004_5.0_night.png"]


def test_an_image_that_vanished_before_it_is_copied_ends_with_code_1_after_all_else_is_written(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_first(image: Path, target: Path) -> None:
        (shop / "dusk.png").unlink(missing_ok=True)
        copy(image, target)

    monkeypatch.setattr("lychee_rerank.cli.rank.copy", delete_first)
    outputs = ("--copy-to", tmp_path / "best", "--link-to", tmp_path / "links", "--csv", tmp_path / "r.csv")
    result = run_command("rank", "bright", shop, "--quiet", *outputs)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert result.stderr.count("dusk.png (it is no longer there)") == 2
    assert len(names(tmp_path / "best")) == len(names(tmp_path / "links")) == 3
    assert (tmp_path / "r.csv").read_bytes().count(b"\r\n") == 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("transfer", [copy, link])
def test_what_became_a_pipe_is_not_waited_for(tmp_path: Path, transfer: Callable[[Path, Path], None]) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(IncompleteFolderError, match="it is no regular file any more"):
        place([str(tmp_path / "a.png")], tmp_path / "best", transfer)


def test_a_name_that_the_folder_refuses_costs_only_that_image(shop: Path, tmp_path: Path) -> None:
    def refuse_dusk(image: Path, target: Path) -> None:
        if image.name == "dusk.png":
            fail_with(errno.EINVAL)()
        copy(image, target)

    with pytest.raises(IncompleteFolderError, match=r"1 of the pictures .*dusk.png \(Invalid argument\)"):
        place([str(shop / "dusk.png"), str(shop / "night.png")], tmp_path / "best", refuse_dusk)
    assert names(tmp_path / "best") == ["002_5.0_night.png"]


def test_a_full_disk_says_how_many_are_copied_and_the_folder_can_be_filled_again(shop: Path, tmp_path: Path) -> None:
    def fill_up(image: Path, target: Path) -> None:
        target.touch()
        if image.name == "night.png":
            fail_with(errno.ENOSPC)()
        copy(image, target)

    best, files = tmp_path / "best", [str(shop / name) for name in ("dusk.png", "night.png", "白天.png")]
    with pytest.raises(IncompleteFolderError, match=r"best takes no more pictures \(No space left.*\), 1 are in it"):
        place(files, best, fill_up)
    assert names(best) == [".lychee-rerank-unfinished", "001_5.0_dusk.png"]
    assert run_command("rank", "bright", shop, "--quiet", "--copy-to", best).exit_code == 0
    assert len(names(best)) == 4


def test_a_file_system_without_links_is_told_in_one_sentence(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", fail_with(errno.EPERM))
    monkeypatch.setattr(Path, "symlink_to", fail_with(errno.EPERM))
    with pytest.raises(InputError, match=r"takes no links \(Operation not permitted\): use --copy-to instead"):
        place([str(shop / "dusk.png")], tmp_path / "best", link)


def test_an_image_is_copied_whose_name_is_not_text(shop: Path, tmp_path: Path) -> None:
    image = os.fsdecode(bytes(shop) + b"/Mu\xf1oz.png")
    try:
        shutil.copy(shop / "dusk.png", image)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    result = run_command("rank", "bright", image, "--quiet", "--copy-to", tmp_path / "best")
    assert result.exit_code == 0, result.stderr
    assert names(tmp_path / "best") == ["001_3.5_Mu_oz.png"]
