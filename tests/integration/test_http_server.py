"""The HTTP server on a real socket: silent, slow, malformed and greedy clients keep nobody else out."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.exceptions import HTTPException

from events.sizes import MIB
from searchsvc.http.connections import Limits, Timeouts
from searchsvc.http.problems import answer_problem
from searchsvc.http.server import MAX_HEADER_BYTES, HttpServer
from searchsvc.http.unpacked_bodies import PIECE_BYTES, UnpackedBodies

pytestmark = pytest.mark.anyio
QUICK = Timeouts(first=0.5, header=0.5, idle=0.5, body=0.5, reader=0.5)
LONG = Timeouts(first=600, header=600, idle=600, body=600, reader=600)


@get("/hello")
async def hello() -> str:
    return "hello"


@get("/large")
async def large() -> bytes:
    return b"x" * 64 * MIB


@post("/length", request_max_body_size=100 * MIB)
async def length(request: Request[Any, Any, Any]) -> str:
    return str(len(await request.body()))


@post("/short", request_max_body_size=MIB)
async def short(request: Request[Any, Any, Any]) -> str:
    return str(len(await request.body()))


APP = UnpackedBodies(
    Litestar(
        [hello, large, length, short], exception_handlers={HTTPException: answer_problem, Exception: answer_problem}
    )
)


class Serving:
    """A server that runs. Requests are bytes, so that they may be anything."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    async def open(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address, local_addr=(source, 0))

    async def ask(self, request: bytes, source: str = "127.0.0.1") -> bytes:
        """Send bytes on a new connection; return all that comes back until it is closed."""
        async with asyncio.timeout(60):
            reader, writer = await self.open(source)
            writer.write(request)
            answer = await reader.read()
            writer.close()
            return answer


@asynccontextmanager
async def serving(limits: Limits | None = None, timeouts: Timeouts = LONG) -> AsyncIterator[Serving]:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    with closing(bound):
        server = HttpServer(APP, limits or Limits(), timeouts=timeouts)
        await server.start(bound)
        try:
            yield Serving(bound.getsockname())
        finally:
            await server.stop(1.0)


def get_request(path: str = "/hello", more: str = "Connection: close\r\n") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


async def write_until_closed(writer: asyncio.StreamWriter) -> None:
    """Write now and then, and read nothing. Raises ConnectionError once the other side is gone."""
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def is_served(server: Serving, source: str = "127.0.0.1") -> bool:
    return (await server.ask(get_request(), source)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /hello HT",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n123",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        get_request(more=""),
    ],
    ids=["silent", "half a line", "half a header", "half a body", "half a chunk", "idle after an answer"],
)
async def test_a_client_that_keeps_the_service_waiting_is_closed(sent: bytes) -> None:
    async with serving(timeouts=QUICK) as server:
        await server.ask(sent)
        assert await is_served(server)


async def test_a_client_that_reads_nothing_is_closed() -> None:
    async with serving(timeouts=QUICK) as server, asyncio.timeout(60):
        _, writer = await server.open()
        writer.write(get_request("/large"))
        with pytest.raises(ConnectionError):
            await write_until_closed(writer)
        assert await is_served(server)


async def test_a_slow_reader_that_goes_on_is_served_to_the_end() -> None:
    async with serving(timeouts=QUICK) as server, asyncio.timeout(60):
        reader, writer = await server.open()
        writer.write(get_request("/large"))
        n = 0
        while piece := await reader.read(2 * MIB):
            n += len(piece)
            await asyncio.sleep(0.02)
        assert n > 64 * MIB
        writer.close()


async def test_hundreds_of_silent_clients_keep_nobody_out() -> None:
    async with serving(Limits(connections=100, connections_per_client=50)) as server:
        silent = [await server.open(f"127.0.0.{2 + i % 8}") for i in range(400)]
        for i in range(20):
            assert await is_served(server, f"127.0.0.{1 + i % 9}")
        for _, writer in silent:
            writer.close()


async def test_a_request_under_way_is_not_closed_for_others() -> None:
    async with serving(Limits(connections=20)) as server, asyncio.timeout(60):
        reader, writer = await server.open()
        writer.write(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345")
        await asyncio.sleep(0.05)
        others = [await server.open("127.0.0.2") for _ in range(19)]
        newest = await server.open("127.0.0.3")  # closes one that never asked for anything
        writer.write(b"67890")
        assert (await reader.read()).endswith(b"10")
        writer.close()
        for _, other in [*others, newest]:
            other.close()


async def test_bodies_that_stand_still_make_room_for_others() -> None:
    async with serving(Limits(body_bytes=40 * MIB)) as server, asyncio.timeout(120):
        stuck = []
        for _ in range(4):
            reader, writer = await server.open()
            writer.write(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 10_000_000)
            await writer.drain()
            stuck.append((reader, writer))
        body = b"x" * 15_000_000
        head = b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await server.ask(head + body)).endswith(b"15000000")
        for _, writer in stuck:
            writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /hello HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", 400),
        (b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n", 400),
        (b"GET /hello HTTP/1.1\r\n" + b"X-Long: " + b"x" * 2 * MAX_HEADER_BYTES, 431),
        (b"GET /" + b"x" * 2 * MAX_HEADER_BYTES, 431),
    ],
    ids=["TLS", "no colon", "no length", "no chunk", "an endless header", "an endless address"],
)
async def test_what_is_no_http_is_answered_with_a_problem(request_bytes: bytes, status: int) -> None:
    async with serving() as server:
        answer = await server.ask(request_bytes)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status
        assert await is_served(server)


async def test_several_requests_on_one_connection_are_answered_in_order() -> None:
    async with serving(timeouts=QUICK) as server:
        body = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        answer = await server.ask(get_request(more="") + body + get_request(more="") + body + get_request())
        assert answer.count(b"HTTP/1.1 20") == 5
        assert answer.endswith(b"hello")


BODY_THAT_NEVER_COMES = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        get_request(more="") + BODY_THAT_NEVER_COMES,
        get_request(more="") + b"GET /hello HTTP/1.1\r\nX-Half: ",
        get_request(more="") + get_request(more="") + BODY_THAT_NEVER_COMES,
    ],
    ids=["a body", "a header", "the body of the third"],
)
async def test_a_client_that_keeps_the_service_waiting_behind_an_answer_is_closed(sent: bytes) -> None:
    async with serving(timeouts=QUICK) as server:
        assert (await server.ask(sent)).startswith(b"HTTP/1.1 200")
        assert await is_served(server)


@pytest.mark.parametrize(
    "sent",
    [
        get_request(more="") + b"GET /hello HTTP/1.1\r\nX-Long: " + b"x" * 2 * MAX_HEADER_BYTES,
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1000) for i in range(2 * MAX_HEADER_BYTES // 1000)),
    ],
    ids=["a second header", "trailers"],
)
async def test_no_header_is_endless_wherever_it_stands(sent: bytes) -> None:
    async with serving() as server:
        with suppress(ConnectionError):
            await server.ask(sent)
        assert await is_served(server)


async def test_junk_behind_a_request_is_no_answer_to_it_and_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        for _ in range(5):
            answer = await server.ask(get_request(more="") + b"\x16\x03 junk\r\n\r\n")
            assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
        for _ in range(5):
            chunks = b"".join(b"1\r\na\r\n" for _ in range(50))
            head = b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert (await server.ask(head + chunks + b"zz\r\n")).startswith(b"HTTP/1.1 400")
        assert await is_served(server)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stop_finishes_what_was_asked() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(get_request("/large", more=""))
        await asyncio.sleep(0.2)
        pending = asyncio.create_task(reader.read())
    async with asyncio.timeout(60):
        assert len(await pending) > 64 * MIB
    writer.close()


def packed_request(body: bytes, encoding: str = "gzip", path: str = "/short") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Encoding: {encoding}\r\n\r\n".encode() + body


@pytest.mark.parametrize("n", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, MIB])
async def test_a_packed_body_is_read_as_what_it_is_unpacked_to(n: int) -> None:
    random = os.urandom(n)
    bodies = [(gzip.compress(random), "gzip"), (gzip.compress(bytes(n)), "GZIP"), (random, "identity")]
    bodies += [(gzip.compress(random[: n // 2]) + gzip.compress(random[n // 2 :]), "x-gzip")]
    async with serving() as server:
        for body, encoding in bodies:
            answered = await server.ask(packed_request(body, encoding))
            assert answered.startswith(b"HTTP/1.1 201"), encoding
            assert answered.endswith(f"\r\n\r\n{n}".encode())


@pytest.mark.parametrize(
    ("body", "encoding", "status", "part"),
    [
        (gzip.compress(bytes(MIB + 1)), "gzip", 413, ""),
        (gzip.compress(bytes(200 * MIB)), "gzip", 413, ""),
        (b"x" * 10, "br", 415, "gzip, or none"),
        (gzip.compress(gzip.compress(b"x")), "gzip, gzip", 415, "gzip, or none"),
        (b"x" * 10, "gzip", 400, "not gzip"),
        (gzip.compress(b"x") + b"junk", "gzip", 400, "not gzip"),
        (gzip.compress(os.urandom(100))[:-1], "gzip", 400, "ends before"),
    ],
    ids=["too long", "a bomb", "another", "twice", "not packed", "junk behind", "half"],
)
async def test_a_packed_body_that_is_too_long_or_not_gzip_is_refused(
    body: bytes, encoding: str, status: int, part: str
) -> None:
    async with serving() as server:
        answered = await server.ask(packed_request(body, encoding))
        assert answered.startswith(f"HTTP/1.1 {status} ".encode())
        assert part in json.loads(answered.partition(b"\r\n\r\n")[2])["detail"]
        assert await is_served(server)


async def test_what_bodies_are_unpacked_to_counts_for_what_all_may_hold() -> None:
    body = gzip.compress(bytes(3 * MIB))
    async with serving(Limits(body_bytes=2 * MIB)) as server:
        answered = await server.ask(packed_request(body, path="/length"))
        assert answered.startswith(b"HTTP/1.1 503 ")
        assert (await server.ask(packed_request(gzip.compress(bytes(MIB))))).startswith(b"HTTP/1.1 201 ")
