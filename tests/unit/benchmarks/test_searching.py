"""What the benchmarks' own HTTP client reads from a response."""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.searching import complete_body, server_timing

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


def test_a_body_is_read_once_all_of_it_is_there() -> None:
    assert [complete_body(bytearray(RESPONSE[:n])) for n in (0, 20, len(RESPONSE) - 1)] == [None, None, None]
    assert complete_body(bytearray(RESPONSE)) == b"{}"
    assert complete_body(bytearray(RESPONSE.replace(b"Content-Length", b"content-length"))) == b"{}"


def test_a_refused_search_ends_the_benchmark() -> None:
    with pytest.raises(BenchmarkFailed, match="503"):
        complete_body(bytearray(RESPONSE.replace(b"200 OK", b"503 Service Unavailable")))


def test_stages_are_read_from_server_timing() -> None:
    assert server_timing("encode;dur=1.25, total;dur=2.5") == {"encode": 1.25, "total": 2.5}
    assert server_timing("") == {}
