"""Draw every thing of things.tsv in every style of the npm packages, as 112 x 112 RGBA images.

`npm install --ignore-scripts --prefix tools/demo` fetches the packages. Emoji sets are looked up by character; icon
sets, which have no characters, by English name. Sets whose license would bind the weights (CC BY-SA) are never trained
on.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFont

from tools.demo.styles import (
    EMOJI_STYLES,
    FINAL_TEST_STYLE,
    GLYPH_STYLES,
    MISLEADING_NAMES,
    UNSEEN_STYLE,
    WRONG_DRAWINGS,
)

DEMO_FOLDER = Path(__file__).parent
PACKAGES = DEMO_FOLDER / "node_modules"
EDGE = 112


@dataclass(frozen=True)
class Thing:
    """One everyday thing: its emoji characters, its names in both languages (the usual one first), its category."""

    characters: tuple[str, ...]
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    category: str


@dataclass(frozen=True)
class Pictogram:
    """One drawing of one thing: `thing` is its index in things.tsv, `pixels` (112, 112, 4) uint8, straight alpha."""

    thing: int
    style: str
    name: str
    pixels: np.ndarray


def read_things() -> list[Thing]:
    """The things of things.tsv."""
    with (DEMO_FOLDER / "things.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        Thing(
            _split_characters(row["characters"]),
            _split_names(row["english"]),
            _split_names(row["chinese"]),
            row["category"],
        )
        for row in rows
    ]


def draw(styles: tuple[str, ...], *, packages: Path = PACKAGES) -> list[Pictogram]:
    """Every pictogram of the given styles that exists, in the order of things.tsv."""
    sources = [source for style in styles for source in _find_sources(style, packages)]
    with ThreadPoolExecutor(2) as pool:
        pictograms = list(pool.map(lambda source: _render(*source), sources))
    return sorted((pictogram for pictogram in pictograms if pictogram), key=lambda pictogram: pictogram.thing)


def svg_source(thing: int, style: str, *, packages: Path = PACKAGES) -> str:
    """The first drawing of a thing (its index in things.tsv) in an emoji style, as SVG."""
    return next(svg for index, _, _, svg in _find_sources(style, packages) if index == thing)


def _split_characters(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r".\ufe0f?", text))


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _find_sources(style: str, packages: Path) -> Iterator[tuple[int, str, str, Any]]:
    """(thing, style, name, SVG text or path of an image file or alpha mask)."""
    if style == "fluent-emoji-3d":
        yield from _find_files(packages / "@lobehub/fluent-emoji-3d/assets", style)
        return
    if style in GLYPH_STYLES:
        yield from _find_glyphs(packages / "@fontsource/noto-emoji/files", style)
        return
    icons = json.loads((packages / "@iconify-json" / style / "icons.json").read_text(encoding="utf-8"))
    by_character = style in (*EMOJI_STYLES, UNSEEN_STYLE, FINAL_TEST_STYLE)
    icon_names = _icon_names_by_character(style, packages) if by_character else None
    for index, thing in enumerate(read_things()):
        if (style, thing.english[0]) in WRONG_DRAWINGS:
            continue
        names = _emoji_names(thing, icon_names, icons) if icon_names is not None else _icon_names(thing, icons)
        for name in names:
            yield index, style, name, _svg(icons, name)


def _find_files(folder: Path, style: str) -> Iterator[tuple[int, str, str, Any]]:
    for index, thing in enumerate(read_things()):
        for character in thing.characters:
            code = f"{ord(character[0]):04x}"
            for path in (folder / f"{code}.webp", folder / f"{code}-fe0f.webp"):
                if path.exists():
                    yield index, style, path.stem, path
                    break


def _find_glyphs(folder: Path, style: str) -> Iterator[tuple[int, str, str, Any]]:
    """Glyphs of the monochrome emoji font, which comes in files that each hold a part of the characters."""
    weight = style.rsplit("-", 1)[1]
    fonts = [ImageFont.truetype(file, 160) for file in sorted(folder.glob(f"noto-emoji-*-{weight}-normal.woff"))]
    missing = {bytes(font.getmask("\ue123")) for font in fonts}
    for index, thing in enumerate(read_things()):
        for character in thing.characters:
            masks = (font.getmask(character[0], mode="L") for font in fonts)
            mask = next((mask for mask in masks if mask.size[0] >= 20 and bytes(mask) not in missing), None)
            if mask is not None:
                yield index, style, character, Image.frombytes("L", mask.size, bytes(mask))


@cache
def _icon_names_by_character(style: str, packages: Path) -> dict[str, str]:
    """Character code -> icon name. Sets whose table is empty mostly use the names of Noto."""
    own, noto = (packages / "@iconify-json" / name / "chars.json" for name in (style, "noto"))
    table = json.loads(own.read_text(encoding="utf-8")) or json.loads(noto.read_text(encoding="utf-8"))
    return {code.upper(): name for code, name in table.items()}


def _emoji_names(thing: Thing, icon_names: dict[str, str], icons: dict[str, Any]) -> list[str]:
    codes = (f"{ord(character[0]):X}" for character in thing.characters)
    names = [icon_names.get(code) or icon_names.get(f"{code}-FE0F", "") for code in codes]
    slugs = [re.sub(r"[^a-z0-9]+", "-", english.lower()) for english in thing.english]
    names += [] if all(name in icons["icons"] for name in names) else slugs
    names += [name.replace("-", "") for name in names]
    return [name for name in dict.fromkeys(names) if name in icons["icons"]][:3]


def _icon_names(thing: Thing, icons: dict[str, Any]) -> list[str]:
    """Icons named exactly after the thing, filled, outlined or in two tones."""
    names = [name for name in thing.english if name not in MISLEADING_NAMES.get(thing.english[0], ())]
    stems = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    suffixes = "-fill -bold -duotone -filled -line -linear -outline -24-filled -24-regular -1 -01 -solid".split()
    suffixes += "-outline-rounded -rounded -sharp -color -remix -16-solid -11 -15 -2".split()
    names = [stem + suffix for stem in stems for suffix in ("", *suffixes)]
    return [name for name in names if name in icons["icons"]][:4]


def _svg(icons: dict[str, Any], name: str) -> str:
    icon = icons["icons"][name]
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    body = icon["body"].replace("currentColor", "#222")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{body}</svg>'
    )


def _render(thing: int, style: str, name: str, source: str | Path | Image.Image) -> Pictogram | None:
    if isinstance(source, Path):
        image = Image.open(source).convert("RGBA")
    elif isinstance(source, Image.Image):
        image = Image.merge("RGBA", [Image.new("L", source.size, 0x22)] * 3 + [source])
    else:
        import resvg_py

        image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=source, width=EDGE)))).convert("RGBA")
    box = image.getchannel("A").getbbox()
    if box is None:
        return None
    image = _pad_to_square(image.crop(box)).resize((EDGE, EDGE), Image.Resampling.LANCZOS)
    return Pictogram(thing, style, name, np.asarray(image))


def _pad_to_square(image: Image.Image) -> Image.Image:
    edge = max(image.size)
    square = Image.new("RGBA", (edge, edge))
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square
