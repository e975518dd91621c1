"""Images of the page's library, built in code."""

from __future__ import annotations

from pathlib import Path

from lychee_rerank.images.load import preview
from lychee_rerank.rankings.archive import LibraryImage
from support.app_test import red


def library_image(name: str, source: bytes | Path) -> LibraryImage:
    shown = preview(source)
    return LibraryImage(shown.content_hash, name, source, shown)


def red_images(*amounts: int) -> list[LibraryImage]:
    """PNGs that FakeReranker scores with amount / 25.5."""
    return [library_image(f"{amount}.png", red(amount)) for amount in amounts]
