"""The proxies and certificates that the environment names for downloads."""

from __future__ import annotations

import os
from urllib.request import getproxies

from lychee_rerank.errors import DownloadError


def check_connection_settings() -> None:
    """Raises DownloadError where the HTTP client could not be made: it names the setting and what to write instead."""
    import httpx2

    for name, proxy in _proxies().items():
        try:
            httpx2.Client(proxy=proxy, trust_env=False).close()
        except (ValueError, httpx2.InvalidURL) as error:
            address = proxy.rpartition("@")[2]  # without a password
            raise DownloadError(
                f'The proxy in {name}, "{address}", cannot be used: it should look like http://127.0.0.1:7890 or '
                f"socks5://127.0.0.1:1080; correct it or unset {name}."
            ) from error
    try:
        httpx2.Client().close()
    except OSError as error:
        name = os.environ.get("SSL_CERT_FILE", "")
        raise DownloadError(
            f'The certificates in SSL_CERT_FILE, "{name}", cannot be used ({error.strerror or error}): correct it or '
            "unset SSL_CERT_FILE."
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:
        raise DownloadError(f"NO_PROXY cannot be used ({error}): correct it or unset it.") from error


def proxy_hint() -> str:
    """Such as " and the proxy in ALL_PROXY", to be added to what should be checked; "" without a proxy."""
    return f" and the proxy in {', '.join(_proxies())}" if _proxies() else ""


def _proxies() -> dict[str, str]:
    """The addresses of proxies by variable, or where the system's settings give them by the variable of that name."""
    found = getproxies()
    schemes = (scheme for scheme in ("http", "https", "all") if found.get(scheme))
    return {
        f"{scheme.upper()}_PROXY": found[scheme] if "://" in found[scheme] else f"http://{found[scheme]}"
        for scheme in schemes
    }
