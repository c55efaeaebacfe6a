"""Keep the id of a document in an address as it was sent, slashes and all."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

# The last part of the path of deletions by list and by filter.
DELETIONS: Final = "delete"
_DOCUMENT: Final = re.compile(rb"(/v1/indexes/[^/]+/documents/)(.+)", re.DOTALL)


class OpaqueIds:
    """Makes all that follows `/documents/` of an index one part of the path, before routes see it.

    Servers decode %2F, and routers take doubled and final slashes away: an id with slashes would name another document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _DOCUMENT.fullmatch(scope["raw_path"]) if scope["type"] == ScopeType.HTTP else None
        if match is not None and scope["type"] == ScopeType.HTTP:
            part = quote(unquote(match[2]), safe="")
            # No route but that of deletions: a document may be called so, too.
            is_document = part == DELETIONS and scope["method"] != "POST"
            scope["path"] = unquote(match[1]) + (f"%{ord(part[0]):x}{part[1:]}" if is_document else part)
        await self._app(scope, receive, send)


def document_id_of(part: str) -> str:
    """Return the id that a part of the path is."""
    return unquote(part)
