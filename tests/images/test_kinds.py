"""Suffixes stand for formats that are opened, and JPEG XL is one of them where a plug-in is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from pillow_heif import register_heif_opener

from lychee_rerank.images.formats import FORMATS
from lychee_rerank.images.kinds import SUFFIXES, format_list, has_raw_signature

RAW = ".cr2 .cr3 .nef .arw .dng .raf .orf .rw2".split()
PLUGIN = """
import io
from PIL import Image, PngImagePlugin
def open_png(file, name):
    return PngImagePlugin.PngImageFile(io.BytesIO(file.read()[2:]))
Image.register_open("JXL", open_png, lambda start: start.startswith(b"\\xff\\x0a"))
"""
SCRIPT = """
import io
from PIL import Image
from lychee_rerank.images.files import has_image_suffix
from lychee_rerank.images.load import load_image
png = io.BytesIO()
Image.effect_noise((90, 90), 9).save(png, "PNG")
good, damaged = (load_image(b"\\xff\\x0a" + data) for data in (png.getvalue(), png.getvalue()[:500]))
print(has_image_suffix("a.JXL"), good.problem, damaged.problem.code)
"""


def test_every_suffix_but_those_of_camera_raw_is_one_of_pillows() -> None:
    Image.init()
    register_heif_opener(thumbnails=False)
    formats = {suffix: Image.EXTENSION.get(suffix) for suffix in SUFFIXES - {".mpo"}}
    others = {suffix for suffix, format in formats.items() if format not in FORMATS}
    assert set(RAW) <= others
    assert all(suffix[1:].upper() in format_list() for suffix in others)


def test_a_tiff_has_no_signature_of_camera_raw() -> None:
    assert not has_raw_signature(b"II*\0\x08\0\0\0\x0f\0\xfe\0")
    assert has_raw_signature(b"II*\0\x10\0\0\0CR\2\0")


def test_jpeg_xl_is_read_by_a_plugin_that_a_person_installed(tmp_path: Path) -> None:
    (tmp_path / "pillow_jxl.py").write_text(PLUGIN, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "None", "truncated"]


def test_a_plugin_that_cannot_be_imported_leaves_jpeg_xl_named(tmp_path: Path) -> None:
    (tmp_path / "pillow_jxl.py").write_text("raise ImportError", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert "JPEG XL" in result.stdout
