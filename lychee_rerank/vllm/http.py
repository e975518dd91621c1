"""One server's address, asked patiently: tries again after a pause, and sees when the server is gone for good.

Shared by all requests in flight. While the server counts as gone nothing is asked, so that a run of 100,000 pictures
does not wait for each of them; it is looked after again every half minute.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from threading import Lock
from types import TracebackType
from typing import Any

import urllib3
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from lychee_rerank.errors import InputError, ServerError

_OVERLOADED = frozenset({429, 500, 502, 503, 504})
_TRIES_AGAIN = 4
_PAUSE = 0.5  # seconds, doubled with every try (0, 1, 2, 4), and at random up to so much more
_COOLDOWN_S = 30.0
_MISSES_TOO_MANY = 8
_QUICK = urllib3.Timeout(5.0)


class RetryingClient:
    """Requests to `url` ("http://host:8000", with or without /v1), answered in JSON.

    Up to `max_concurrency` threads may ask. An answer may take `timeout` seconds; the request is not repeated after that, since
    the server would only start over. `key` is sent as a bearer token. Raises InputError for an address that is none.
    """

    def __init__(self, url: str, *, max_concurrency: int = 1, timeout: float = 120.0, key: str = "") -> None:
        self.url = _checked(url)
        self._timeout = timeout
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = urllib3.PoolManager(maxsize=max_concurrency, headers=headers)
        self._retries = _RetryPolicy(
            total=_TRIES_AGAIN,
            status_forcelist=_OVERLOADED,
            allowed_methods=None,
            backoff_factor=_PAUSE,
            backoff_jitter=_PAUSE,
            raise_on_status=False,
            retry_after_max=30,
        )
        self._watch = Lock()
        self._answered = 0.0  # when something was last answered, on the monotonic clock
        self._misses = 0  # requests given up since then
        self._circuit_open_reason = ""  # why nothing is asked
        self._retry_at = 0.0  # until when

    def get(self, path: str) -> dict[str, Any]:
        """What the server says at `path`. Raises ServerError."""
        return self._request("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the server answers to `body`. Raises ServerError."""
        return self._request("POST", path, json=body)

    def check(self) -> None:
        """Raises ServerError while the server counts as gone."""
        with self._watch:
            if not self._circuit_open_reason:
                return
            if time.monotonic() > self._retry_at:
                if self._is_healthy():
                    self._circuit_open_reason, self._misses = "", 0
                    return
                self._retry_at = time.monotonic() + _COOLDOWN_S
        raise self._error(f"{self._circuit_open_reason}; it is not asked again for now")

    def _request(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        self.check()
        began = time.monotonic()
        timeout = urllib3.Timeout(connect=5.0, read=self._timeout)
        try:
            response = self._http.request(
                method, self.url + path, **body, timeout=timeout, retries=self._retries, redirect=False
            )
        except HTTPError as error:
            why = _reason(error, self._timeout)
            self._record_failure(began, why, enough=1)
            raise self._error(why) from error
        if response.status in _OVERLOADED:
            why = f"answered {_status(response)}"
            self._record_failure(began, why, enough=_MISSES_TOO_MANY)
            raise self._error(why, response.status)
        with self._watch:
            self._answered, self._misses = time.monotonic(), 0
        return self._content(response, path)

    def _content(self, response: urllib3.BaseHTTPResponse, path: str) -> dict[str, Any]:
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._error("wants an API key: set LYCHEE_API_KEY to it", response.status)
        if response.status == HTTPStatus.NOT_FOUND:
            raise self._error(f"has no {path}, so it is not the vLLM server that is needed", response.status)
        if response.status != HTTPStatus.OK:
            raise self._error(f"answered {_status(response)}", response.status)
        try:
            content = response.json()
        except ValueError as error:
            raise self._error("does not answer in JSON, so it is no vLLM server") from error
        if not isinstance(content, dict):
            raise self._error("does not answer as a vLLM server does")
        return content

    def _record_failure(self, began: float, why: str, *, enough: int) -> None:
        """Count a request that was given up; the server is gone after `enough`, if it answered nobody meanwhile."""
        with self._watch:
            if self._answered < began:
                self._misses += 1
                if self._misses >= enough:
                    self._circuit_open_reason, self._retry_at = why, time.monotonic() + _COOLDOWN_S

    def _is_healthy(self) -> bool:
        try:
            health = self._http.request("GET", f"{self.url}/health", timeout=_QUICK, retries=False, redirect=False)
        except HTTPError:
            return False
        return health.status < HTTPStatus.INTERNAL_SERVER_ERROR

    def _error(self, what: str, status: int | None = None) -> ServerError:
        return ServerError(f"The server at {self.url} {what}.", url=self.url, status=status)


class _RetryPolicy(urllib3.Retry):
    """Tries again, but never after a whole timeout."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> _RetryPolicy:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


def _checked(url: str) -> str:
    """The address without the /v1 that may end it."""
    try:
        parts = urllib3.util.parse_url(url.strip())
    except LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
        raise InputError(f"{url!r} is no address of a server; it should look like http://127.0.0.1:8000.")
    return parts.url.rstrip("/").removesuffix("/v1").rstrip("/")


def _reason(error: HTTPError, timeout: float) -> str:
    cause = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, ReadTimeoutError):
        return f"did not answer within {timeout:g} seconds"
    if isinstance(cause, SSLError):
        return f"cannot be reached safely ({cause})"
    if isinstance(cause, NameResolutionError | NewConnectionError | ConnectTimeoutError):
        return "cannot be reached"
    return "broke the connection"


def _status(response: urllib3.BaseHTTPResponse) -> str:
    """The status and, in what servers of this kind send along, the reason."""
    said = response.data.decode("utf-8", "replace")
    try:
        told = response.json()
        said = str((told.get("error") or told)["message"])
    except (ValueError, AttributeError, KeyError, TypeError):
        said = "" if said.lstrip().startswith("<") else said
    said = " ".join(said.split())[:200].rstrip(".")
    return f"with status {response.status}" + (f" ({said})" if said else "")
