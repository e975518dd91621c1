"""Between people and the file system: paths as they are typed and pasted, names as they are shown."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

# On Linux surrogates stand for bytes that are not UTF-8, on Windows names can hold them; nothing encodes them.
_SURROGATES = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # and line breaks and terminal escapes
_AROUND = " \t\r\n\ufeff\u202a\u202c"  # Windows puts the last two around a path copied from a file's properties


def printable_name(name: str) -> str:
    """A file name that can be shown, logged and encoded anywhere; a � stands for each character that cannot."""
    return _UNPRINTABLE.sub("\ufffd", name)


def encodable(text: str) -> str:
    """Text that can be encoded: as it is, except for surrogates, each of which becomes a �."""
    return _SURROGATES.sub("\ufffd", text)


def parse_path(text: str) -> str:
    """The path that a person means: `text` if there is such a file, else without the quotes of "copy as path", from a
    file:// address, and with ~ for the home directory. Raises nothing.
    """
    if os.path.lexists(text):
        return text
    text = text.strip(_AROUND)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    path = _parse_file_url(text) if text.lower().startswith("file:/") else text
    try:
        return os.path.expanduser(path)
    except ValueError:  # no person has such a name
        return path


def _parse_file_url(url: str) -> str:
    path = url[len("file:") :]
    if path.startswith("//"):
        host, _, path = path[2:].partition("/")
        path = f"/{path}" if host.lower() in ("", "localhost") else f"//{host}/{path}"  # another host: a Windows share
    path = unquote(path, errors="surrogateescape")
    return path[1:] if re.match("/[A-Za-z]:", path) else path  # a Windows drive


def access_error(path: str | os.PathLike[str]) -> str:
    """Why the system does not say what is at a path; "" where it does, and where there is no such file or folder."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""
