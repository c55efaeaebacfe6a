"""The client's exceptions as ours."""

from __future__ import annotations

import inspect

import pytest

from events.errors import InvalidInput, NotFound, SearchsvcError, Unavailable
from searchsvc.engines.opensearch.client import foreign
from searchsvc.engines.opensearch.failures import CLIENT_ERRORS, translated

# Raised by the library's query builder only, which is not used.
DSL_ERRORS = (foreign.OpenSearchDslException, foreign.ValidationException)


def client_error(kind: type[Exception], status: int = 500) -> Exception:
    return kind(status, "reason", {"error": {"root_cause": [{"type": "t", "reason": "r"}]}})


@pytest.mark.parametrize(
    ("kind", "status", "expected", "message"),
    [
        (foreign.NotFoundError, 404, NotFound, "has nothing for GET /: t: r"),
        (foreign.RequestError, 400, InvalidInput, "refused GET /: t: r"),
        (foreign.AuthenticationException, 401, Unavailable, "denied access"),
        (foreign.AuthorizationException, 403, Unavailable, "denied access"),
        (foreign.ConnectionTimeout, 500, Unavailable, "did not answer GET / in time"),
        (foreign.ConnectionError, 500, Unavailable, "cannot be reached"),
        (foreign.TransportError, 429, Unavailable, "too busy"),
        (foreign.TransportError, 503, Unavailable, "failed GET /"),
        (foreign.SerializationError, 500, Unavailable, "not one of OpenSearch"),
    ],
)
def test_each_failure_has_its_family(
    kind: type[Exception], status: int, expected: type[SearchsvcError], message: str
) -> None:
    error = translated(client_error(kind, status), "GET /")
    assert type(error) is expected
    assert message in str(error)


def test_every_exception_of_the_client_is_translated() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(foreign, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, (Warning, *DSL_ERRORS))
    ]
    assert len(kinds) > 10
    assert all(issubclass(kind, CLIENT_ERRORS) for kind in kinds)
    assert all(isinstance(translated(client_error(kind), "GET /"), SearchsvcError) for kind in kinds)
