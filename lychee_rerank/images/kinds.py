"""The kinds of image files: by suffix, which is for choosing files, by their first bytes, and as people call them."""

from __future__ import annotations

import re
from importlib.util import find_spec

# It registers itself with Pillow when it is imported; "" where the person has not installed it.
JPEG_XL_PLUGIN = "pillow_jxl" if find_spec("pillow_jxl") else ""

_COMMON = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "WEBP": ".webp",
    "AVIF": ".avif .avifs",
    "HEIC": ".heic .heif .hif",
    "GIF": ".gif",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
}
_DESIGN = {
    "PSD": ".psd",
    "ICO": ".ico .cur",
    "ICNS": ".icns",
    "TGA": ".tga .icb .vda .vst",
    "DDS": ".dds",
    "JPEG 2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
}
_RARE = {
    "QOI": ".qoi",
    "PNM": ".pbm .pgm .ppm .pnm .pfm",
    "PCX": ".pcx .dcx",
    "SGI": ".sgi .rgb .rgba .bw .ras",
    "Photo CD": ".pcd",
    "XBM": ".xbm",
    "XPM": ".xpm",
}
_CAMERA_RAW = {  # what LibRaw reads and is found on cards, by maker
    "Canon": ".cr2 .cr3 .crw",
    "Nikon": ".nef .nrw",
    "Sony": ".arw .sr2",
    "Fujifilm": ".raf",
    "Olympus": ".orf",
    "Panasonic": ".rw2",
    "Leica": ".rwl",
    "Pentax": ".pef",
    "Samsung": ".srw",
    "Hasselblad": ".3fr .fff",
    "Phase One": ".iiq",
    "Leaf": ".mos",
    "Mamiya": ".mef",
    "Kodak": ".dcr .kdc",
    "Minolta": ".mrw",
    "Epson": ".erf",
    "Sigma": ".x3f",
    "phones, drones and others": ".dng",
}
SUFFIXES = frozenset(
    suffix for group in (_COMMON, _DESIGN, _RARE, _CAMERA_RAW) for text in group.values() for suffix in text.split()
) | ({".jxl"} if JPEG_XL_PLUGIN else set())

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW_SIGNATURES = re.compile(  # CR3, RAF, ORF, RW2, X3F, CRW, MRW, IIQ, CR2
    rb"....ftypcrx |FUJIFILMCCD-RAW|IIR[OS]\x08|MMOR|IIU\0|FOVb|......HEAPCCDR|\0MRM|"
    rb"(II\*\0|MM\0\*)....(IIII|MMMM|CR\x02\0)",
    re.S,
)


def is_tiff(data: bytes) -> bool:
    return data[:4] in _TIFF


def has_raw_signature(data: bytes) -> bool:
    """Whether it is a camera's RAW file for certain. Others begin like any TIFF."""
    return _RAW_SIGNATURES.match(data) is not None


def format_list() -> str:
    """What is read, in words; `python -m tools.format_list` puts them into README.md."""
    raw = ", ".join(f"{maker} ({', '.join(_names(suffixes))})" for maker, suffixes in _CAMERA_RAW.items())
    return (
        f"{_join(_COMMON)}; for design {_join(_DESIGN)}; rarer {_join(_RARE)}; "
        f"camera RAW as LibRaw reads it, of {raw}; and JPEG XL once `pillow-jxl-plugin` is installed"
    )


def _names(suffixes: str) -> list[str]:
    return suffixes.upper().replace(".", "").split()


def _join(names: dict[str, str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"
