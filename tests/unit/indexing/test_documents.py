"""Which lines of NDJSON are refused, with which reason."""

from __future__ import annotations

import msgspec
import pytest

from searchsvc.indexing.documents import (
    MAX_DOCUMENT_BYTES,
    MAX_MEMBERS,
    AcceptedDocument,
    RefusedDocument,
    check_signals,
    parse_document,
    parse_documents,
)
from tests.factories import SETTINGS


def parse(body: bytes) -> list[AcceptedDocument | RefusedDocument]:
    return list(parse_documents(body))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"{}", "id is missing"),
        (b'{"id":null}', "id is missing"),
        (b'{"id":""}', 'id is ""'),
        (b'{"id":17}', "id is 17"),
        (b'{"id":"' + b"x" * 600 + b'"}', "id has 600 bytes"),
        (b'{"id":"1","a":NaN}', "not a JSON object"),
        (b'{"id":"1","a":' + b"[" * 5000 + b"]" * 5000 + b"}", "not a JSON object"),
        (b'{"id":"1","a":"' + b"x" * MAX_DOCUMENT_BYTES + b'"}', "the document has"),
        (b'{"id":"\xff"}', "not a JSON object"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_the_others_are_accepted(line: bytes, reason: str) -> None:
    good, bad, last = parse(b'{"id":"a"}\n' + line + b'\n{"id":"z"}')
    assert isinstance(bad, RefusedDocument)
    assert bad.line == 2
    assert bad.reason.startswith(reason)
    assert isinstance(good, AcceptedDocument)
    assert isinstance(last, AcceptedDocument)
    assert (good.line, last.line) == (1, 3)


def test_an_array_is_read_item_by_item() -> None:
    body = b'\xef\xbb\xbf [\n  {"id": "a",\n   "n": 12345678901234567890},\n  {"id": 1},\n  {"id": "z"}\n]\n'
    first, bad, last = parse(body)
    assert isinstance(first, AcceptedDocument)
    assert isinstance(bad, RefusedDocument)
    assert isinstance(last, AcceptedDocument)
    assert (first.line, bad.line, last.line) == (1, 2, 3)
    assert first.text == b'{"id":"a","n":12345678901234567890}'


@pytest.mark.parametrize("body", [b'[{"id":"a"}', b'[{"id":"a"}]\n{"id":"b"}', b"[" * 5000])
def test_what_begins_like_an_array_and_is_none_is_refused_line_by_line(body: bytes) -> None:
    first = parse(body)[0]
    assert isinstance(first, RefusedDocument)
    assert first.reason.startswith("not a JSON object")


def test_an_empty_array_holds_nothing() -> None:
    assert parse(b" []\n") == []


def test_a_signal_that_is_not_a_number_is_refused() -> None:
    valid, missing, invalid = parse(b'{"id":"1","votes":3}\n{"id":"2"}\n{"id":"3","votes":"many"}')
    assert isinstance(valid, AcceptedDocument)
    assert isinstance(missing, AcceptedDocument)
    assert isinstance(invalid, AcceptedDocument)
    assert check_signals(valid, SETTINGS) is None
    assert check_signals(missing, SETTINGS) is None
    refused = check_signals(invalid, SETTINGS)
    assert refused is not None
    assert '"many"' in refused.reason


def test_a_byte_order_mark_before_a_line_is_no_part_of_it() -> None:
    parsed = parse(b'\xef\xbb\xbf{"id":"a"}\n{"id":"b"}\n\xef\xbb\xbf{"id":"c"}\n\xef\xbb\xbf\n')
    assert [(type(document), document.id, document.line) for document in parsed] == [
        (AcceptedDocument, "a", 1),
        (AcceptedDocument, "b", 2),
        (AcceptedDocument, "c", 3),
    ]
    assert isinstance(parsed[0], AcceptedDocument)
    assert parsed[0].text == b'{"id":"a"}'


def test_a_document_has_a_limited_number_of_members() -> None:
    def line(n: int) -> bytes:
        return msgspec.json.encode({"id": "1", "nested": {f"member{i}": 1 for i in range(n)}})

    accepted, refused = (parse_document(1, line(n)) for n in (MAX_MEMBERS, MAX_MEMBERS + 1))
    assert isinstance(accepted, AcceptedDocument)
    assert isinstance(refused, RefusedDocument)
    assert refused.reason == f"the document has {MAX_MEMBERS + 1} members; allowed: {MAX_MEMBERS}"
