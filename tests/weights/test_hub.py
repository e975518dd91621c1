"""A hub's listing is one request, and whatever cannot be one is refused in one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lychee_rerank.errors import DownloadError, InputError
from lychee_rerank.weights.cache import Hub
from lychee_rerank.weights.download import download
from lychee_rerank.weights.hub import fetch_listing, is_http_url
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import REPO, FakeHub

either_hub = pytest.mark.parametrize("hub", ["huggingface", "modelscope"])


@either_hub
def test_a_listing_is_one_request_and_holds_what_is_needed_and_nothing_else(fake_hub: FakeHub, hub: Hub) -> None:
    needless = {"README.md", "pytorch_model.bin", "onnx/model.safetensors", "generation_config.json"}
    snapshot = fetch_listing(REPO, hub, fake_hub.address)
    assert {file.name for file in snapshot.files} == set(fake_hub.files) - needless
    assert {file.name: file.size for file in snapshot.files}[fake_hub.largest] == fake_hub.listed_size(fake_hub.largest)
    assert len(fake_hub.requests) == 1


@either_hub
@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "RepoNotFound", 'has no "vec-ai/lychee-rerank-mm", or it is private'),
        (404, "", 'has no "vec-ai/lychee-rerank-mm", or it is private'),
        (403, "GatedRepo", "only to people who accepted its terms"),
        (503, "", "answered 503 .* try again later"),
    ],
)
def test_a_hub_that_does_not_give_the_model_is_an_error_in_one_sentence(
    fake_hub: FakeHub, hub: Hub, status: int, code: str, sentence: str
) -> None:
    fake_hub.statuses["listing"], fake_hub.error_code = status, code
    with pytest.raises(DownloadError, match=sentence) as refused:
        fetch_listing(REPO, hub, fake_hub.address)
    assert "\n" not in str(refused.value)


@either_hub
def test_a_model_that_is_not_there_is_named(fake_hub: FakeHub, hub: Hub) -> None:
    with pytest.raises(DownloadError, match='127.0.0.1:[0-9]+ has no "nobody/nothing"'):
        fetch_listing("nobody/nothing", hub, fake_hub.address)


@either_hub
@pytest.mark.usefixtures("caches")
def test_a_hub_out_of_reach_is_an_error_that_says_what_to_check(hub: Hub) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DownloadError, match="cannot be reached .*refused.*: check the connection"):
        fetch_listing(REPO, hub, address)


def test_offline_mode_makes_no_request(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        fetch_listing(REPO, endpoint=fake_hub.address)
    assert not fake_hub.requests


@pytest.mark.parametrize("repo", ["lychee", "a/b/c", "../..", "a/..", "a/b--c", "C:\\x/y", "", "a b/c"])
def test_a_name_that_cannot_be_one_is_refused(fake_hub: FakeHub, repo: str) -> None:
    with pytest.raises(InputError, match="cannot be a model on a hub"):
        fetch_listing(repo, endpoint=fake_hub.address)


@pytest.mark.parametrize("url", ["https://hf-mirror.com", "http://127.0.0.1:8000/v1", "http://[::1]:8000"])
def test_an_http_url_has_a_scheme_and_a_host(url: str) -> None:
    assert is_http_url(url)


@pytest.mark.parametrize(
    "text", ["hf-mirror.com", "ftp://x", "https:///", "https://[", "https://x:99999", "https://a b", "http://x:0"]
)
def test_an_address_that_cannot_be_one_is_refused(text: str) -> None:
    assert not is_http_url(text)
    with pytest.raises(InputError, match="is not the address of a hub"):
        fetch_listing(REPO, endpoint=text)


@either_hub
def test_a_repository_without_safetensors_is_refused(fake_hub: FakeHub, hub: Hub) -> None:
    fake_hub.files = {name: content for name, content in fake_hub.files.items() if not name.endswith(".safetensors")}
    with pytest.raises(DownloadError, match="holds no safetensors weights"):
        fetch_listing(REPO, hub, fake_hub.address)


@either_hub
def test_a_web_page_where_a_hub_should_be_is_refused(
    fake_hub: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense = {"message": "welcome"}
    monkeypatch.setattr(fake_hub, "huggingface_listing", lambda: nonsense)
    monkeypatch.setattr(fake_hub, "modelscope_listing", lambda: nonsense)
    with pytest.raises(DownloadError, match="does not say what the files"):
        fetch_listing(REPO, hub, fake_hub.address)


@either_hub
def test_names_that_lead_out_of_the_folder_are_left_out(fake_hub: FakeHub, hub: Hub, caches: Path) -> None:
    fake_hub.files |= {"../../x.safetensors": b"x", "..\\y.safetensors": b"y", "/etc/z.safetensors": b"z"}
    fetched = download(hub=hub, endpoint=fake_hub.address)
    assert not {"x.safetensors", "y.safetensors", "z.safetensors"} & {file.name for file in caches.rglob("*")}
    assert fetched == find_checkpoint()


def test_the_token_goes_to_no_mirror_that_is_only_tried_out(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download(endpoint=fake_hub.address)
    assert "hf_secret" not in str(fake_hub.requests)


def test_the_token_goes_to_the_hub_in_use(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake_hub.address)
    download()
    assert "hf_secret" in str(fake_hub.requests)


def test_importing_makes_no_connection() -> None:
    program = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import lychee_rerank.weights.download, lychee_rerank.cli.main"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
