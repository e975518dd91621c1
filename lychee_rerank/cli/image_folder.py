"""A folder of the best images themselves, copied or linked, and named by rank."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lychee_rerank.errors import InputError, LycheeError
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.export import (
    MissingImageError,
    check_is_file,
    rank_width,
    ranked_folder,
    ranked_name,
    read_chunks,
)
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query

RankedQuery = tuple[Query, Iterable[ImageScore]]
Transfer = Callable[[Path, Path], None]

_UNFINISHED = ".lychee-rerank-unfinished"  # marks a folder while images are placed in it
_RANKED_NAME = re.compile(r"\d{2,}_.*", re.DOTALL)  # of the entries in such a folder
_NO_MORE_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a full disk, a used up quota, a disk gone read-only
_MAX_NAMES = 10


class IncompleteFolderError(LycheeError):
    """Some images could not be copied or linked; all others were."""


def is_unfinished(folder: Path) -> bool:
    """Whether an interrupted run left the folder half full."""
    return (folder / _UNFINISHED).exists()


def place_images(
    targets: Sequence[tuple[Path, Transfer]],
    rankings: Callable[[], Iterable[RankedQuery]],
    files: Sequence[str | Path],
    *,
    query_count: int | None,
) -> None:
    """Place the scored ones of `files` in each folder of `targets` by its function, `copy` or `link`, named by rank;
    with `query_count`, in one subfolder for each of so many queries. What an interrupted run left there is replaced.

    Raises IncompleteFolderError at the end where images are missing, and at once where the disk is full.
    """
    missing = [
        problem
        for folder, transfer in targets
        for problem in _fill(folder, _ranked_paths(rankings, files, query_count), transfer)
    ]
    if missing:
        names = ", ".join(missing[:_MAX_NAMES]) + (", ..." if len(missing) > _MAX_NAMES else "")
        raise IncompleteFolderError(
            f"{len(missing)} of the pictures could not be copied or linked, all others were: {names}."
        )


def _ranked_paths(
    rankings: Callable[[], Iterable[RankedQuery]], files: Sequence[str | Path], query_count: int | None
) -> Iterator[tuple[Path, Path]]:
    """Each scored image, and its path in the folder that is filled."""
    width = rank_width(len(files))
    for number, (query, ranking) in enumerate(rankings(), start=1):
        subfolder = ranked_folder(number, query.text, query_count) if query_count else ""
        for result in ranking:
            if result.problem is None:
                yield Path(files[result.index]), Path(subfolder, ranked_name(result, width))


def _fill(folder: Path, images: Iterable[tuple[Path, Path]], transfer: Transfer) -> Iterator[str]:
    """Yields a phrase for each image that could not be placed."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_unfinished(folder):
        _remove_placed(folder)
    (folder / _UNFINISHED).touch()
    placed = 0
    for image, name in images:
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        try:
            transfer(image, target)
            placed += 1
        except (MissingImageError, OSError) as error:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error)
            if getattr(error, "errno", None) in _NO_MORE_WRITES:
                raise IncompleteFolderError(
                    f"{folder} takes no more pictures ({reason}), {placed} are in it. Make room and run the same "
                    "command again: nothing is scored twice."
                ) from error
            yield f"{printable_name(str(image))} ({reason})"
    (folder / _UNFINISHED).unlink()


def _remove_placed(folder: Path) -> None:
    for entry in folder.iterdir():
        if _RANKED_NAME.fullmatch(entry.name):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def copy(image: Path, target: Path) -> None:
    """The content, with date and permissions where the target's file system takes them. Raises MissingImageError."""
    with target.open("wb") as output:
        for chunk in read_chunks(image):
            output.write(chunk)
    with suppress(OSError):
        shutil.copystat(image, target)


def link(image: Path, target: Path) -> None:
    """A symbolic link; where those need special rights (Windows), a hard link.

    Raises MissingImageError, and InputError on a file system without links.
    """
    check_is_file(image)
    try:
        target.symlink_to(image.absolute())
    except OSError as error:
        try:
            os.link(image.absolute(), target)
        except OSError:
            reason = error.strerror or str(error)
            raise InputError(f"{target.parent} takes no links ({reason}): use --copy-to instead.") from error
