"""Text files that people save on Windows, macOS and Linux."""

from __future__ import annotations

import codecs


def decode_text(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with a byte order mark, as Windows PowerShell writes it; the mark is left out.

    Raises UnicodeDecodeError.
    """
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig")
