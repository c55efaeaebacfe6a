"""What every route needs: limits of bodies, the author of a change, and JSON answers."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import State

from searchsvc.changes.author import Author

ACTOR_HEADER: Final = "X-Searchsvc-Actor"

AnyRequest = Request[Any, Any, State]


def author(request: AnyRequest, reason: str = "") -> Author:
    """Return who requests a change, and why."""
    source = f"http {request.client.host}" if request.client is not None else "http"
    return Author(request.headers.get(ACTOR_HEADER, "anonymous"), reason, source)


def json_answer(answer: object, status_code: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Encode an answer."""
    return Response(
        msgspec.json.encode(answer), status_code=status_code, media_type=MediaType.JSON, headers=headers or {}
    )
