"""Subjects, foreign errors, the lock's memory, and the join's edges."""

from __future__ import annotations

import inspect

import nats.errors
import nats.js.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.errors import Corrupt, InvalidInput, SearchsvcError, Unavailable
from events.jetstream.connection import translate
from events.memory import matches
from events.streams import MAX_SUBJECT_TOKEN_BYTES, STREAMS, subject_token

FOREIGN = [
    kind
    for module in (nats.errors, nats.js.errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__.startswith("nats")
]
# What each becomes that is not simply "try again".
CALLERS = {"MaxPayloadError", "BadSubjectError", "BadHeaderError"}
OPERATORS = {"ConsumerSequenceMismatchError", "DigestMismatchError"}


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_becomes_one_of_ours(kind: type[Exception]) -> None:
    # A stand-in of the same class: their constructors differ, and only the class decides.
    stand_in = type(
        kind.__name__, (kind,), {"__init__": Exception.__init__, "__str__": lambda _: "said", "err_code": None}
    )
    ours = translate(stand_in(), "testing")
    expected: type[SearchsvcError] = Unavailable
    if kind.__name__ in CALLERS:
        expected = InvalidInput
    if kind.__name__ in OPERATORS:
        expected = Corrupt
    assert type(ours) is expected


def test_the_client_has_no_error_family_that_is_not_known_here() -> None:
    assert {kind.__name__ for kind in FOREIGN} >= CALLERS | OPERATORS
    assert all(issubclass(kind, nats.errors.Error) for kind in FOREIGN)


@given(st.text(min_size=1))
def test_a_subject_token_is_safe_and_bounded(text: str) -> None:
    try:
        token = subject_token(text)
    except UnicodeEncodeError:  # a lone surrogate is no text: ids come out of UTF-8
        return
    assert len(token) <= MAX_SUBJECT_TOKEN_BYTES
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.lists(st.text(alphabet="abc/. ", min_size=1), min_size=2, max_size=2, unique=True))
def test_two_ids_never_share_a_subject_token(ids: list[str]) -> None:
    assert subject_token(ids[0]) != subject_token(ids[1])


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.b", "a.b", True),
        ("a", "b", False),
    ],
)
def test_subjects_match_as_in_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


def test_control_can_neither_be_deleted_nor_purged_nor_aged() -> None:
    assert STREAMS["CONTROL"].append_only
    assert STREAMS["CONTROL"].max_age_s == 0
    assert not STREAMS["CONTROL"].compacted


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"type":"Unheard of"}', b'{"type":"index_deleted.v1"}', b"\xff", b"[" * 5000]
)
def test_bytes_that_are_no_event_are_corrupt_and_never_skipped(data: bytes) -> None:
    with pytest.raises(Corrupt):
        codec.decode_control(data)
