"""Answer errors as problem documents (RFC 9457)."""

from __future__ import annotations

import logging
import math
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from events.errors import (
    Conflict,
    Corrupt,
    Forbidden,
    Gone,
    InvalidInput,
    LaterVersion,
    NotFound,
    Overloaded,
    SearchsvcError,
    StorageFull,
    TooLarge,
    Unavailable,
    UnsupportedEncoding,
)

MEDIA_TYPE: Final = "application/problem+json"

# What Litestar says of a client that went away before its body was complete: nobody's fault here.
DISCONNECTED: Final = "client disconnected prematurely"

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, omit_defaults=True):
    """A problem document.

    type: a stable name for programs
    field: path of the member that is wrong; '' for the whole request
    value: what was sent
    limit: what would be accepted
    actual: current version or sequence, if another one was expected
    retry_after_s: when to try again
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    field: str = ""
    value: Any = None
    limit: str = ""
    actual: int | None = None
    retry_after_s: float | None = None


# The first family that an error belongs to applies.
STATUS: Final[tuple[tuple[type[SearchsvcError], int, str], ...]] = (
    (Gone, 410, "gone"),
    (NotFound, 404, "not-found"),
    (Conflict, 409, "conflict"),
    (TooLarge, 413, "too-large"),
    (UnsupportedEncoding, 415, "unsupported-encoding"),
    (Forbidden, 403, "forbidden"),
    (InvalidInput, 400, "invalid-input"),
    (Overloaded, 429, "overloaded"),
    (StorageFull, 507, "storage-full"),
    (Unavailable, 503, "unavailable"),
    (LaterVersion, 503, "later-version"),
    (Corrupt, 500, "corrupt"),
)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer any exception of a handler."""
    problem = _problem(error)
    problem.instance = request.url.path
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    if problem.status >= 500 and not isinstance(error, Unavailable):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _problem(error: Exception) -> Problem:
    for family, status, name in STATUS:
        if isinstance(error, family):
            problem = Problem(f"urn:searchsvc:{name}", name.replace("-", " "), status, str(error))
            if isinstance(error, InvalidInput):
                problem.field, problem.value, problem.limit = error.field, error.value, error.limit
            if isinstance(error, Conflict):
                problem.actual = error.actual
            if isinstance(error, Unavailable):
                problem.retry_after_s = error.retry_after_s
            return problem
    if isinstance(error, HTTPException) and error.detail == DISCONNECTED:
        return Problem("about:blank", error.detail, 400, error.detail)
    if isinstance(error, HTTPException):
        return Problem("about:blank", error.detail, error.status_code, error.detail)
    return Problem(
        "urn:searchsvc:internal", "internal error", 500, "an internal error occurred; see the log of the service"
    )
