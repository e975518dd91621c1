"""What a hub lists of a model: Hugging Face, a mirror of it, or ModelScope."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from lychee_rerank.errors import DownloadError, InputError
from lychee_rerank.weights.cache import CacheEntry, Hub, RemoteFile, huggingface_entry, modelscope_entry
from lychee_rerank.weights.connection import check_connection_settings, proxy_hint

_NEEDED = (
    "config.json",
    "*processor_config.json",
    "chat_template.*",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "*.safetensors",
    "*.safetensors.index.json",
)
_LISTING_TIMEOUT_S = 20
_INVALID_NAME = '"{}" cannot be a model on a hub; names are an owner and a name, such as Qwen/Qwen2.5-VL-7B.'


@dataclass(frozen=True)
class RemoteSnapshot:
    """The files of a model that are needed, as the hub lists them, and where they belong on this machine."""

    repo: str
    hub: Hub
    host: str
    files: tuple[RemoteFile, ...]
    cache: CacheEntry
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # may hold the person's token


def fetch_listing(repo: str, hub: Hub = "huggingface", endpoint: str | None = None) -> RemoteSnapshot:
    """The files of `repo`, by one request. endpoint: the address of a mirror.

    Raises InputError for a name or an address that cannot be one, DownloadError where the hub does not list the model.
    """
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from socksio import SOCKSError

    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise InputError(_INVALID_NAME.format(repo))
    modelscope = os.environ.get("MODELSCOPE_ENDPOINT") or "https://www.modelscope.cn"
    address = (endpoint or (modelscope if hub == "modelscope" else constants.ENDPOINT)).rstrip("/")
    if not is_http_url(address):
        raise InputError(f'"{address}" is not the address of a hub; it starts with https://.')
    host = urlsplit(address).netloc
    check_connection_settings()
    try:
        snapshot = (_list_modelscope if hub == "modelscope" else _list_huggingface)(repo, address, host)
    except HFValidationError as error:
        raise InputError(_INVALID_NAME.format(repo)) from error
    except (HfHubHTTPError, httpx2.HTTPStatusError) as error:
        status, code = error.response.status_code, error.response.headers.get("X-Error-Code", "")
        raise DownloadError(http_error_message(hub, host, f'"{repo}"', status, code)) from error
    except OfflineModeIsEnabled as error:
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is fetched: unset it and try again.") from error
    except (httpx2.RequestError, SOCKSError) as error:
        raise DownloadError(
            f"{host} cannot be reached ({str(error) or type(error).__name__}): check the connection{proxy_hint()}, or "
            "fetch from a mirror (HF_ENDPOINT) or from ModelScope."
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(
            f'{host} does not say what the files of "{repo}" are, as a hub does: try another address.'
        ) from error
    if not any(file.name.endswith(".safetensors") for file in snapshot.files):
        raise DownloadError(f'"{repo}" at {host} holds no safetensors weights, the only kind that is loaded.')
    return snapshot


def is_http_url(text: str) -> bool:
    """Whether `text` is an address such as "https://host" or "http://host:8000/path"."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:
        return False


def http_error_message(hub: Hub, host: str, requested: str, status: int, code: str = "") -> str:
    """One sentence for an HTTP status that is not a success. code: the hub's own, from the header X-Error-Code."""
    if status == HTTPStatus.FORBIDDEN or code == "GatedRepo":
        reason = f"gives {requested} only to people who accepted its terms: accept them on its page there"
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
        reason = f"has no {requested}, or it is private: check the name"
    else:
        return f"{host} answered {status} when asked for {requested}: try again later, or fetch from elsewhere."
    login = ", log in (`uv run hf auth login`)" if hub == "huggingface" else ""
    return f"{host} {reason}{login} and try again."


def _list_huggingface(repo: str, address: str, host: str) -> RemoteSnapshot:
    """Raises what its library raises, and whatever reading a strange listing raises."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented all the same

    token = None if address == constants.ENDPOINT else False  # the person's token goes to no mirror named just now
    api = HfApi(address, token=token)
    model = api.model_info(repo, revision="main", files_metadata=True, timeout=_LISTING_TIMEOUT_S)
    commit = _hex_digits(model.sha)
    base = f"{address}/{repo}/resolve/{commit}"
    files = tuple(
        _remote_file(name, entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id, f"{base}/{name}")
        for entry in model.siblings or ()
        if _is_needed(name := entry.rfilename)
    )
    cache, headers = huggingface_entry(repo, commit), build_hf_headers(token=token)
    return RemoteSnapshot(repo, "huggingface", host, files, cache, headers)


def _list_modelscope(repo: str, address: str, host: str) -> RemoteSnapshot:
    """Raises as `_list_huggingface`."""
    import httpx2

    base, query = f"{address}/api/v1/models/{repo}/repo", {"Revision": "master", "Recursive": "True"}
    response = httpx2.get(f"{base}/files", params=query, timeout=_LISTING_TIMEOUT_S, follow_redirects=True)
    response.raise_for_status()
    base = f"{base}?Revision=master&FilePath="
    files = tuple(
        _remote_file(name, entry["Size"], entry.get("Sha256") or "", base + quote(name))
        for entry in response.json()["Data"]["Files"]
        if entry["Type"] == "blob" and _is_needed(name := entry["Path"])
    )
    return RemoteSnapshot(repo, "modelscope", host, files, modelscope_entry(repo))


def _is_needed(name: Any) -> bool:
    """Also refuses names that would leave the folder."""
    is_plain = isinstance(name, str) and re.fullmatch(r"[\w.-]+", name, re.ASCII)
    return bool(is_plain) and any(fnmatchcase(name, pattern) for pattern in _NEEDED)


def _remote_file(name: str, size: Any, checksum: Any, url: str) -> RemoteFile:
    """Raises ValueError for what is no size or checksum."""
    if not isinstance(size, int):
        raise ValueError(f"size of {name}")
    return RemoteFile(name, size, _hex_digits(checksum) if checksum != "" else "", url)


def _hex_digits(value: Any) -> str:
    """A checksum or commit, which becomes a file name on this disk. Raises ValueError for anything else."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value):
        raise ValueError(str(value))
    return value
