"""Keeps pages of other sites from changing anything.

A browser sends a form, or JSON as `text/plain`, to any address that it can reach, also to a service on the same
machine; and a name that is made to lead there (DNS rebinding) lets a page read the answers, too. Both can be told
apart: such a request names a foreign origin, or a host that is not ours. Requests that only read are not checked.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler

from events.errors import Forbidden

# Option of a route that changes nothing although its method could.
READS: Final = "reads"
MAX_SHOWN_CHARS: Final = 80
_READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ForeignPages:
    """A guard of all routes.

    hosts: names that the service is called by, besides addresses and names without a dot
    origins: of pages that may change something although they come from elsewhere, such as `https://shop.example`
    """

    def __init__(self, hosts: list[str], origins: list[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise Forbidden if a request that changes something comes from a foreign page, or is for a foreign host."""
        scope = connection.scope
        if scope["type"] != ScopeType.HTTP or scope["method"] in _READING_METHODS or handler.opt.get(READS):
            return
        headers = connection.headers
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if not self._is_ours(host):
            raise _refused("Host", host, "an address, a name without a dot, or one of http.allowed_hosts")
        if not origin:
            site = headers.get("sec-fetch-site", "")
            if site in ("cross-site", "same-site"):
                raise _refused("Sec-Fetch-Site", site, "same-origin")
        elif origin.lower() not in self._origins and _host_of(origin) != host.lower():
            raise _refused("Origin", origin, f"that of {host[:MAX_SHOWN_CHARS]}, or one of http.allowed_origins")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or "." not in name.rstrip(".") or _is_address(name)


def _host_of(origin: str) -> str:
    """Return host and port of an origin; '' if it has none, as `null`."""
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refused(header: str, value: str, limit: str) -> Forbidden:
    shown = value[:MAX_SHOWN_CHARS]
    message = f"{header} is {shown!r}, so the request may come from a page of another site; allowed: {limit}"
    return Forbidden(message, field=header, value=shown, limit=limit)
