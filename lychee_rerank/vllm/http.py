"""RetryingClient: JSON requests to one server, with retries, backoff and a circuit breaker.

urllib3 and not httpx2, which downloads the weights: urllib3's Retry knows statuses, backoff, jitter and Retry-After,
while httpx2 only retries connecting (`HTTPTransport(retries=...)`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from http import HTTPStatus
from threading import Lock
from typing import Any, Self

import urllib3
from urllib3 import exceptions

from lychee_rerank.errors import InputError, ServerError
from lychee_rerank.weights.hub import is_http_url

_RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
_MAX_RETRIES = 4
_BACKOFF_S = 0.5  # waits 0, 1, 2 and 4 s, and at random up to this much longer
_COOLDOWN_S = 30.0
_FAILURE_THRESHOLD = 8


class RetryingClient:
    """JSON requests to `url` ("http://host:8000", with or without /v1), from up to `max_concurrency` threads.

    A request that takes `timeout` seconds is not repeated, since the server would only start over. `api_key` is sent
    as a bearer token. No redirect and no proxy is followed. Raises InputError for a `url` that is no address.

    Circuit breaker: when requests fail and none succeeds meanwhile, all others fail at once, so that a run over
    100,000 images does not wait for each; every 30 seconds `/health` decides whether to close it again.
    """

    def __init__(self, url: str, *, max_concurrency: int = 1, timeout: float = 120.0, api_key: str = "") -> None:
        self.url = _normalize_url(url)
        self._timeout = timeout
        retries = _RetryPolicy(
            total=_MAX_RETRIES,
            status_forcelist=_RETRY_STATUSES,
            allowed_methods=None,
            backoff_factor=_BACKOFF_S,
            backoff_jitter=_BACKOFF_S,
            raise_on_status=False,
            retry_after_max=30,
        )
        self._http = urllib3.PoolManager(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            maxsize=max_concurrency,
            timeout=urllib3.Timeout(connect=5.0, read=timeout),
            retries=retries,
        )
        self._lock = Lock()
        self._last_success_at = 0.0  # on the monotonic clock, as _retry_at
        self._failures = 0  # since then
        self._circuit_open_reason = ""  # empty while the circuit is closed
        self._retry_at = 0.0

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`. Raises ServerError."""
        return self._request("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `body`. Raises ServerError."""
        return self._request("POST", path, json=body)

    def ensure_available(self) -> None:
        """Raises ServerError while the circuit is open; costs nothing while it is closed."""
        with self._lock:
            if not self._circuit_open_reason:
                return
            if time.monotonic() > self._retry_at:
                if self._is_healthy():
                    self._circuit_open_reason, self._failures = "", 0
                    return
                self._retry_at = time.monotonic() + _COOLDOWN_S
        raise self._error(f"{self._circuit_open_reason}; it is not asked again for now")

    def _request(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        self.ensure_available()
        started_at = time.monotonic()
        try:
            response = self._http.request(method, self.url + path, **body, redirect=False)
        except exceptions.HTTPError as error:
            reason = _describe_error(error, self._timeout)
            self._record_failure(started_at, reason, threshold=1)
            raise self._error(reason) from error
        if response.status in _RETRY_STATUSES:
            self._record_failure(started_at, _describe_status(response, path), threshold=_FAILURE_THRESHOLD)
        else:
            with self._lock:
                self._last_success_at, self._failures = time.monotonic(), 0
        return self._parse(response, path)

    def _parse(self, response: urllib3.BaseHTTPResponse, path: str) -> dict[str, Any]:
        if response.status != HTTPStatus.OK:
            raise self._error(_describe_status(response, path))
        with suppress(ValueError):
            if isinstance(content := response.json(), dict):
                return content
        raise self._error("does not answer with a JSON object, so it is no vLLM server")

    def _record_failure(self, started_at: float, reason: str, *, threshold: int) -> None:
        """Count a failed request, unless another one succeeded since it started; open the circuit at `threshold`."""
        with self._lock:
            if self._last_success_at < started_at:
                self._failures += 1
                if self._failures >= threshold:
                    self._circuit_open_reason, self._retry_at = reason, time.monotonic() + _COOLDOWN_S

    def _is_healthy(self) -> bool:
        try:
            health = self._http.request("GET", self.url + "/health", timeout=5.0, retries=False, redirect=False)
        except exceptions.HTTPError:
            return False
        return health.status < HTTPStatus.INTERNAL_SERVER_ERROR

    def _error(self, reason: str) -> ServerError:
        return ServerError(f"The server at {self.url} {reason}.")


class _RetryPolicy(urllib3.Retry):
    """Retries everything but a request that timed out."""

    def increment(self, *args: Any, **kwargs: Any) -> Self:
        if isinstance(error := kwargs.get("error"), exceptions.ReadTimeoutError):
            raise error
        return super().increment(*args, **kwargs)


def _normalize_url(url: str) -> str:
    """The address without a final slash or /v1. Raises InputError."""
    base = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    if not is_http_url(base) or "?" in base or "#" in base:
        raise InputError(f"{url!r} is no address of a server; it should look like http://127.0.0.1:8000.")
    return base


def _describe_error(error: exceptions.HTTPError, timeout: float) -> str:
    cause = error.reason if isinstance(error, exceptions.MaxRetryError) else error
    if isinstance(cause, exceptions.ReadTimeoutError):
        return f"did not answer within {timeout:g} seconds"
    if isinstance(cause, exceptions.SSLError):
        return f"cannot be reached safely ({cause})"
    if isinstance(cause, exceptions.NewConnectionError | exceptions.ConnectTimeoutError):
        return "cannot be reached"
    return "broke the connection"


def _describe_status(response: urllib3.BaseHTTPResponse, path: str) -> str:
    """The status, and the body's message: {"error": {"message": ...}}, {"message": ...} or plain text, but no HTML."""
    if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "wants an API key: set LYCHEE_API_KEY to it"
    if response.status == HTTPStatus.NOT_FOUND:
        return f"has no {path}, so it is not the vLLM server that is needed"
    text = response.data.decode("utf-8", "replace")
    try:
        content = response.json()
        text = str((content.get("error") or content)["message"])
    except (ValueError, AttributeError, KeyError, TypeError):
        text = "" if text.lstrip().startswith("<") else text
    text = " ".join(text.split())[:200].rstrip(".")
    return f"answered with status {response.status}" + (f" ({text})" if text else "")
