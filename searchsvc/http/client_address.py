"""The address of the client behind a reverse proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from litestar.types import ASGIApp, Receive, Scope, Send

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddress:
    """Takes the address of the client from `X-Forwarded-For`, as far as trusted proxies wrote it.

    proxies: networks of trusted proxies; whatever others send in the header is ignored
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if self._proxies and client is not None:
            headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            scope["client"] = self._behind_proxies(client[0], ",".join(headers)), client[1]
        await self._app(scope, receive, send)

    def _behind_proxies(self, address: str, forwarded: str) -> str:
        """Return the nearest address that is no trusted proxy's. forwarded: the farthest first"""
        for farther in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if not is_within(address, self._proxies) or not _is_address(farther):
                break
            address = farther
        return address


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address, also an IPv4 address that is written as IPv6, is in one of some networks."""
    if not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
