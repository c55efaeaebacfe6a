"""Errors of the NATS client, translated to ours."""

from __future__ import annotations

import inspect

import nats.errors
import nats.js.errors
import pytest

from events.errors import Corrupt, InvalidInput, SearchsvcError, Unavailable
from events.jetstream.connection import translate

FOREIGN = [
    kind
    for module in (nats.errors, nats.js.errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__.startswith("nats")
]
# Errors that the caller has to act on; all but these and the next are `Unavailable`.
CALLERS = {"MaxPayloadError", "BadSubjectError", "BadHeaderError"}
# Errors that the operator has to act on.
OPERATORS = {"ConsumerSequenceMismatchError", "DigestMismatchError"}


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_is_translated(kind: type[Exception]) -> None:
    # A subclass, because the constructors differ and only the class decides.
    stand_in_class = type(
        kind.__name__, (kind,), {"__init__": Exception.__init__, "__str__": lambda _: "message", "err_code": None}
    )
    translated = translate(stand_in_class(), "testing")
    expected: type[SearchsvcError] = Unavailable
    if kind.__name__ in CALLERS:
        expected = InvalidInput
    if kind.__name__ in OPERATORS:
        expected = Corrupt
    assert type(translated) is expected


def test_every_error_that_is_treated_separately_exists_in_the_client() -> None:
    assert {kind.__name__ for kind in FOREIGN} >= CALLERS | OPERATORS
    assert all(issubclass(kind, nats.errors.Error) for kind in FOREIGN)
