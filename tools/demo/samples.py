"""Make the page's sample images: openly licensed pictograms on colored backgrounds, alone and in small scenes.

uv run --group demo python -m tools.demo.samples
"""

from __future__ import annotations

import colorsys
import io
import json

import typer
from PIL import Image, ImageDraw, ImageFilter

from tools.demo.colors import COLORS
from tools.demo.pictograms import DEMO_FOLDER, read_things, svg_source

FOLDER = DEMO_FOLDER.parent.parent / "lychee_rerank" / "demo" / "samples"
CREDITS = {
    "noto": ("Noto Emoji", "Google", "Apache-2.0"),
    "twemoji": ("Twemoji", "Twitter", "CC-BY-4.0"),
    "fluent-emoji": ("Fluent Emoji", "Microsoft Corporation", "MIT"),
}
# (width, height), background, [(thing, style, size, x, y)]: sizes and positions as shares of the shorter side
SAMPLES = {
    "cat": ((640, 640), "blue", [("cat", "noto", 0.7, 0.5, 0.5)]),
    "dog": ((640, 480), "green", [("dog", "twemoji", 0.7, 0.5, 0.5)]),
    "car": ((640, 400), "yellow", [("car", "noto", 0.75, 0.5, 0.5)]),
    "bus": ((640, 480), "white", [("bus", "fluent-emoji", 0.7, 0.5, 0.5)]),
    "apple": ((480, 640), "white", [("apple", "fluent-emoji", 0.6, 0.5, 0.5)]),
    "banana": ((640, 640), "purple", [("banana", "noto", 0.7, 0.5, 0.5)]),
    "coffee": ((600, 600), "brown", [("coffee", "noto", 0.6, 0.5, 0.5)]),
    "pizza": ((640, 640), "red", [("pizza", "twemoji", 0.7, 0.5, 0.5)]),
    "birthday cake": ((640, 560), "pink", [("birthday cake", "fluent-emoji", 0.7, 0.5, 0.5)]),
    "airplane": ((720, 480), "cyan", [("airplane", "noto", 0.7, 0.5, 0.5)]),
    "rocket": ((480, 720), "black", [("rocket", "twemoji", 0.7, 0.5, 0.5)]),
    "umbrella": ((640, 640), "gray", [("umbrella", "noto", 0.65, 0.5, 0.5)]),
    "guitar": ((640, 640), "orange", [("guitar", "fluent-emoji", 0.7, 0.5, 0.5)]),
    "basketball": ((640, 480), "blue", [("basketball", "noto", 0.6, 0.5, 0.5)]),
    "sunflower": ((560, 640), "green", [("sunflower", "twemoji", 0.7, 0.5, 0.5)]),
    "rose": ((560, 640), "white", [("rose", "noto", 0.65, 0.5, 0.5)]),
    "panda": ((640, 640), "pink", [("panda", "fluent-emoji", 0.7, 0.5, 0.5)]),
    "penguin": ((640, 640), "cyan", [("penguin", "noto", 0.6, 0.5, 0.5)]),
    "house": ((720, 540), "green", [("house", "twemoji", 0.7, 0.5, 0.5)]),
    "camera": ((640, 480), "yellow", [("camera", "fluent-emoji", 0.65, 0.5, 0.5)]),
    "bicycle": ((720, 480), "orange", [("bicycle", "noto", 0.75, 0.5, 0.5)]),
    "dress": ((480, 720), "cyan", [("dress", "twemoji", 0.75, 0.5, 0.5)]),
    "key": ((640, 480), "gray", [("key", "noto", 0.6, 0.5, 0.5)]),
    "balloon": ((480, 720), "blue", [("balloon", "fluent-emoji", 0.65, 0.5, 0.5)]),
    "cat and dog": ((800, 480), "green", [("cat", "twemoji", 0.6, 0.3, 0.55), ("dog", "noto", 0.6, 0.72, 0.55)]),
    "sailboat at sunset": (
        (800, 500),
        "orange",
        [("sun", "noto", 0.4, 0.75, 0.35), ("sailboat", "twemoji", 0.6, 0.35, 0.6)],
    ),
    "snowman in the snow": (
        (700, 560),
        "blue",
        [("snowman", "noto", 0.7, 0.45, 0.58), ("snowflake", "twemoji", 0.22, 0.82, 0.25)],
    ),
    "gift and balloon": (
        (700, 560),
        "pink",
        [("gift", "noto", 0.55, 0.38, 0.62), ("balloon", "noto", 0.4, 0.75, 0.38)],
    ),
}


def main() -> None:
    """Make the page's sample images and their credits."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    credits = []
    for name, (size, background, pictograms) in SAMPLES.items():
        file = f"{name.replace(' ', '-')}.jpg"
        _scene(size, background, pictograms).save(FOLDER / file, quality=88, optimize=True)
        styles = sorted({style for _, style, *_ in pictograms})
        credits.append({"file": file, "pictograms": [_credit(style) for style in styles]})
    text = json.dumps(credits, ensure_ascii=False, indent=2)
    (FOLDER.parent / "credits.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def _credit(style: str) -> dict[str, str]:
    title, author, license = CREDITS[style]
    return {"set": title, "author": author, "licence": license}


def _scene(
    size: tuple[int, int], background: str, pictograms: list[tuple[str, str, float, float, float]]
) -> Image.Image:
    canvas = _background(size, background)
    for thing, style, share, across, down in pictograms:
        edge = round(min(size) * share)
        image = _pictogram(thing, style, edge)
        x, y = round(size[0] * across - edge / 2), round(size[1] * down - edge / 2)
        shadow = Image.new("RGBA", canvas.size)
        ImageDraw.Draw(shadow).ellipse(
            (x + edge * 0.15, y + edge * 0.9, x + edge * 0.85, y + edge * 1.02), fill=(0, 0, 0, 70)
        )
        canvas = Image.alpha_composite(canvas, shadow.filter(ImageFilter.GaussianBlur(edge / 40)))
        canvas.alpha_composite(image, (x, y))
    return canvas.convert("RGB")


def _background(size: tuple[int, int], color: str) -> Image.Image:
    """The color, a little lighter at the top."""
    _, _, hue, saturation, lightness = next(row for row in COLORS if row[0] == color)
    h, l, s = (sum(bounds) / 2 for bounds in (hue, lightness, saturation))  # noqa: E741
    shades = []
    for shift in (0.05, -0.05):
        rgb = colorsys.hls_to_rgb((h / 360) % 1, min(max(l + shift, 0), 1), s)
        shades.append(Image.new("RGBA", size, tuple(round(255 * part) for part in rgb)))
    return Image.composite(shades[1], shades[0], Image.linear_gradient("L").resize(size))


def _pictogram(name: str, style: str, edge: int) -> Image.Image:
    import resvg_py

    thing = next(index for index, thing in enumerate(read_things()) if thing.english[0] == name)
    png = resvg_py.svg_to_bytes(svg_string=svg_source(thing, style), width=edge)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA").resize((edge, edge), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    typer.run(main)
