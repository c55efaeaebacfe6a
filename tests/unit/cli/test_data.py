"""How `import` cuts a file into requests, and repeats those that may be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
import rich_click as click

from searchsvc.cli import client, data
from searchsvc.cli.data import CHUNK_BYTES, CHUNK_LINES, import_documents, split_chunks


def test_chunks_have_a_limited_number_of_lines_and_know_their_first_line() -> None:
    lines = [b"%d\n" % number for number in range(2 * CHUNK_LINES + 1)]
    chunks = list(split_chunks(lines))
    assert [(first, len(chunk)) for first, chunk in chunks] == [
        (1, CHUNK_LINES),
        (CHUNK_LINES + 1, CHUNK_LINES),
        (2 * CHUNK_LINES + 1, 1),
    ]
    assert [line for _, chunk in chunks for line in chunk] == lines


def test_chunks_have_a_limited_size_and_a_longer_line_is_sent_alone() -> None:
    lines = [b"x" * (CHUNK_BYTES // 2 + 1), b"y", b"z" * (CHUNK_BYTES + 1), b"w"]
    assert [(first, len(chunk)) for first, chunk in split_chunks(lines)] == [(1, 2), (3, 1), (4, 1)]


def test_an_empty_source_gives_no_chunk() -> None:
    assert list(split_chunks([])) == []


def test_an_array_over_several_lines_is_sent_as_lines() -> None:
    chunks = list(split_chunks([b"\n", b"[\n", b'{"id": "a"},\n', b'{"id":\n', b' "b"}]\n']))
    assert chunks == [(1, [b"\n", b'{"id":"a"}\n', b'{"id":"b"}\n'])]


def test_what_begins_like_an_array_and_is_none_is_sent_as_its_lines() -> None:
    # As the service tells lines apart: a carriage return may stand within one.
    lines = [b"[\n", b'{"id":\r"a"}\n', b'{"id": "b"}']
    assert list(split_chunks(lines)) == [(1, lines)]


def test_a_source_that_breaks_off_names_the_last_line_read() -> None:
    def break_off() -> Iterator[bytes]:
        yield b"1\n"
        yield b"2\n"
        raise EOFError("compressed file ended")

    with pytest.raises(click.ClickException, match="cannot be read past line 2: compressed file ended"):
        list(split_chunks(break_off()))


class Answering(BaseHTTPRequestHandler):
    """Gives the answers in `answers`, one a request, as (status, Retry-After)."""

    answers: ClassVar[list[tuple[int, str]]] = []
    n_requests: ClassVar[int] = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, retry_after = Answering.answers[min(Answering.n_requests, len(Answering.answers) - 1)]
        Answering.n_requests += 1
        body = b'{"accepted":1,"refused":[],"catalog_seq":0}' if status == 200 else b'{"detail":"not now"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(client, "RETRY_S", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    Answering.n_requests = 0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_request_that_may_be_repeated_is_repeated_until_it_is_taken(url: str) -> None:
    Answering.answers = [(503, "0"), (429, ""), (503, "soon"), (200, "")]
    assert import_documents(url, "shop", [b'{"id":"1"}\n']).accepted == 1
    assert Answering.n_requests == 4


def test_a_refusal_is_not_repeated_and_names_its_lines(url: str) -> None:
    Answering.answers = [(200, ""), (507, "")]
    lines = [b'{"id":"1"}\n'] * (CHUNK_LINES + 1)
    with pytest.raises(click.ClickException) as caught:
        import_documents(url, "shop", lines)
    message = f"lines {CHUNK_LINES + 1} to {CHUNK_LINES + 1}: not now (507); 1 documents before them are stored"
    assert caught.value.message == message
    assert Answering.n_requests == 2


def test_patience_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PATIENCE_S", 0.0)
    Answering.answers = [(503, "")]
    with pytest.raises(click.ClickException, match="lines 1 to 1: not now"):
        import_documents(url, "shop", [b'{"id":"1"}\n'])
