"""What a hub says of a model, and where its cache keeps it: Hugging Face, a mirror of it, or ModelScope.

Both caches are laid out as the hubs' own libraries do it, so that they and `checkpoints` find what is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from lychee_rerank.errors import DownloadError, InputError

Hub = Literal["huggingface", "modelscope"]

NEEDED = (
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
_MODELSCOPE = "https://www.modelscope.cn"
_SECONDS_FOR_A_LISTING = 20


@dataclass(frozen=True)
class RemoteFile:
    """One file as its hub describes it: `size` in bytes, `checksum` the SHA-256 in 64 digits or git's SHA-1 in 40.

    ModelScope need not give a checksum; it is empty then.
    """

    name: str
    size: int
    checksum: str
    url: str


@dataclass(frozen=True)
class RemoteSnapshot:
    """The files of a model that are needed, and their places on this machine.

    `folder` is where the checkpoint will be. The Hugging Face cache keeps contents by checksum in `blobs` and lets
    `ref` name the folder that is current; ModelScope's has neither.
    """

    repo: str
    source: Hub
    host: str
    files: tuple[RemoteFile, ...]
    folder: Path
    blobs: Path | None = None
    ref: Path | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # may hold the person's token

    @property
    def store(self) -> Path:
        """The folder that bytes are written to."""
        return self.blobs or self.folder

    def kept(self, file: RemoteFile) -> Path:
        """Where the bytes of a file lie when they are whole."""
        return self.blobs / file.checksum if self.blobs else self.folder / file.name

    def part(self, file: RemoteFile) -> Path:
        """Where they lie until then; named by content, so that a file that changed is never continued."""
        return self.store / f"{file.checksum or file.name}.incomplete"

    def present(self, file: RemoteFile) -> Path | None:
        """Where a file lies already, by its name or by its content."""
        return next((place for place in (self.folder / file.name, self.kept(file)) if place.is_file()), None)

    def publish(self) -> None:
        """Let the fetched files be found. The last step: until then a folder fetched before stays the current one."""
        if self.blobs is None or self.ref is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            if not (self.folder / file.name).exists():
                _link(self.kept(file), self.folder / file.name)
        self.ref.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.ref.with_name(f"{self.ref.name}.lychee")
        fresh.write_text(self.folder.name, encoding="utf-8")
        fresh.replace(self.ref)


def fetch_listing(repo: str, source: Hub = "huggingface", endpoint: str | None = None) -> RemoteSnapshot:
    """What the hub has of a model, by one request. `endpoint` is the address of a mirror.

    Raises InputError where the name or the address cannot be one, DownloadError where the hub does not answer well.
    """
    from huggingface_hub import constants

    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise InputError(_no_name(repo))
    if source == "modelscope":
        asked, usual = _ask_modelscope, os.environ.get("MODELSCOPE_ENDPOINT") or _MODELSCOPE
    else:
        asked, usual = _ask_huggingface, constants.ENDPOINT
    address = (endpoint or usual).rstrip("/")
    if not _is_address(address):
        raise InputError(f'"{address}" is not the address of a hub; it starts with https://.')
    listing = asked(repo, address)
    if not any(file.name.endswith(".safetensors") for file in listing.files):
        raise DownloadError(f'"{repo}" at {listing.host} holds no safetensors weights, the only kind that is loaded.')
    return listing


def http_error_message(source: Hub, host: str, what: str, status: int, code: str = "") -> str:
    """One sentence for an HTTP status that is not a success. `code` is the hub's own word for it."""
    if status == HTTPStatus.FORBIDDEN or code == "GatedRepo":
        need = f"gives {what} only to people who accepted its terms: accept them on its page there"
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
        need = f"has no {what}, or it is private: check the name"
    else:
        return f"{host} answered {status} when asked for {what}: try again later, or fetch from a mirror or elsewhere."
    login = ", log in (`uv run hf auth login`)" if source == "huggingface" else ""
    return f"{host} {need}{login} and try again."


def unreachable(host: str, error: Exception) -> str:
    """One sentence for a connection that could not be made."""
    reason = str(error) or type(error).__name__
    return (
        f"{host} cannot be reached ({reason}): check the connection, or fetch from a mirror (HF_ENDPOINT) "
        "or from ModelScope."
    )


def _ask_huggingface(repo: str, address: str) -> RemoteSnapshot:
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented all the same

    host = urlsplit(address).netloc
    token = None if address == constants.ENDPOINT else False  # never to a mirror that is only tried out
    try:
        model = HfApi(address, token=token).model_info(
            repo, revision="main", files_metadata=True, timeout=_SECONDS_FOR_A_LISTING
        )
    except HFValidationError as error:
        raise InputError(_no_name(repo)) from error
    except OfflineModeIsEnabled as error:
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is fetched: unset it and try again.") from error
    except HfHubHTTPError as error:
        code = error.response.headers.get("X-Error-Code", "")
        raise DownloadError(
            http_error_message("huggingface", host, f'"{repo}"', error.response.status_code, code)
        ) from error
    except httpx2.RequestError as error:
        raise DownloadError(unreachable(host, error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(_nonsense(repo, host)) from error
    commit = _digits(model.sha, repo, host)
    files = [
        (each.rfilename, each.size, each.lfs.sha256 if each.lfs else each.blob_id) for each in model.siblings or ()
    ]
    kept = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    return RemoteSnapshot(
        repo=repo,
        source="huggingface",
        host=host,
        files=tuple(
            _described(each, f"{address}/{repo}/resolve/{commit}/{each[0]}", repo, host)
            for each in files
            if _needed(each[0])
        ),
        folder=kept / "snapshots" / commit,
        blobs=kept / "blobs",
        ref=kept / "refs" / "main",
        headers=build_hf_headers(token=token),
    )


def _ask_modelscope(repo: str, address: str) -> RemoteSnapshot:
    import httpx2

    host = urlsplit(address).netloc
    base = f"{address}/api/v1/models/{repo}/repo"
    query = {"Revision": "master", "Recursive": "True"}
    try:
        answer = httpx2.get(f"{base}/files", params=query, timeout=_SECONDS_FOR_A_LISTING, follow_redirects=True)
        if answer.is_error:
            raise DownloadError(http_error_message("modelscope", host, f'"{repo}"', answer.status_code))
        entries = [each for each in answer.json()["Data"]["Files"] if each["Type"] == "blob"]
        files = [(each["Path"], each["Size"], each.get("Sha256") or "") for each in entries]
    except httpx2.RequestError as error:
        raise DownloadError(unreachable(host, error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(_nonsense(repo, host)) from error
    owner, name = repo.split("/")
    return RemoteSnapshot(
        repo=repo,
        source="modelscope",
        host=host,
        files=tuple(
            _described(each, f"{base}?Revision=master&FilePath={quote(each[0])}", repo, host)
            for each in files
            if _needed(each[0])
        ),
        folder=_modelscope_cache() / owner / name.replace(".", "___"),
    )


def _modelscope_cache() -> Path:
    root = os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope" / "hub"
    return Path(root) / "models"


def _needed(name: Any) -> bool:
    """Also keeps names out that would leave the folder."""
    plain = isinstance(name, str) and re.fullmatch(r"[\w.-]+", name, re.ASCII)
    return bool(plain) and any(fnmatchcase(name, pattern) for pattern in NEEDED)


def _described(said: tuple[Any, Any, Any], url: str, repo: str, host: str) -> RemoteFile:
    name, size, checksum = said
    if not isinstance(size, int):
        raise DownloadError(_nonsense(repo, host))
    return RemoteFile(name, size, _digits(checksum, repo, host) if checksum != "" else "", url)


def _digits(said: Any, repo: str, host: str) -> str:
    """A checksum or commit, which becomes a name on this disk."""
    if not isinstance(said, str) or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", said):
        raise DownloadError(_nonsense(repo, host))
    return said


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:
        return False


def _no_name(repo: str) -> str:
    return f'"{repo}" cannot be a model on a hub; names are an owner and a name, such as Qwen/Qwen2.5-VL-7B.'


def _nonsense(repo: str, host: str) -> str:
    return f'{host} does not say what the files of "{repo}" are, as a hub does: try another address.'


def _link(content: Path, name: Path) -> None:
    """Windows allows symbolic links to few, and some disks know no links at all."""
    try:
        name.symlink_to(os.path.relpath(content, name.parent))
    except OSError:
        try:
            name.hardlink_to(content)
        except OSError:
            shutil.move(content, name)
