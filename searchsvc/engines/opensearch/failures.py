"""Translate the exceptions of opensearch-py to ours."""

from __future__ import annotations

from typing import Final

from events.errors import InvalidInput, NotFound, SearchsvcError, Unavailable
from searchsvc.engines.opensearch.client import foreign

BUSY: Final = 429
MAX_REASON_CHARS: Final = 300
ACCESS_RETRY_S: Final = 30.0
# All that the client raises.
CLIENT_ERRORS: Final = (foreign.OpenSearchException, foreign.ImproperlyConfigured)


def translated(error: Exception, request: str) -> SearchsvcError:
    """Return a failure of the client as an error of ours. request: method and path, for the message."""
    reason = _reason(error)
    match error:
        case foreign.SerializationError():
            # A proxy between us and the node may have answered in its place.
            return Unavailable(f"the reply to {request} is not one of OpenSearch: {reason}")
        case foreign.ConnectionTimeout():
            return Unavailable(f"OpenSearch did not answer {request} in time")
        case foreign.ConnectionError():
            return Unavailable(f"OpenSearch cannot be reached for {request}: {reason}")
        case foreign.NotFoundError():
            return NotFound(f"OpenSearch has nothing for {request}: {reason}")
        case foreign.RequestError():
            return InvalidInput(f"OpenSearch refused {request}: {reason}")
        case foreign.AuthenticationException() | foreign.AuthorizationException():
            return Unavailable(f"OpenSearch denied access to {request}: {reason}", retry_after_s=ACCESS_RETRY_S)
        case foreign.TransportError(status_code=status) if status == BUSY:
            return Unavailable(f"OpenSearch is too busy for {request}: {reason}")
        case _:
            return Unavailable(f"OpenSearch failed {request}: {reason}")


def _reason(error: Exception) -> str:
    """Return the node's reason, shortened."""
    reason: object = error
    if isinstance(error, foreign.TransportError) and len(error.args) > 1:
        reason = error.args[1]
        info = error.args[2] if len(error.args) > 2 else None
        cause = info.get("error") if isinstance(info, dict) else None
        if isinstance(cause, dict):
            roots = cause.get("root_cause") or [cause]
            reason = f"{roots[0].get('type')}: {roots[0].get('reason')}"
    return str(reason)[:MAX_REASON_CHARS]
