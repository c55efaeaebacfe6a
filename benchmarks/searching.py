"""Searches over HTTP as a client sees them: one at a time with their timings, or many over several connections."""

from __future__ import annotations

import http.client
import re
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, cast

import msgspec

from benchmarks.errors import BenchmarkFailed

RECEIVE_BYTES: Final = 1 << 18


class Searched(msgspec.Struct, frozen=True):
    """One answered search.

    http_ms: from sending the request to having received the whole answer
    stages: milliseconds by stage, from the Server-Timing header
    """

    answer: dict[str, Any]
    http_ms: float
    stages: dict[str, float]

    @property
    def took_ms(self) -> float:
        return float(self.answer["took_ms"])


def search(connection: http.client.HTTPConnection, index: str, request: Mapping[str, Any]) -> Searched:
    """Search once on an open connection.

    Raises BenchmarkFailed if the search is refused.
    """
    started = time.perf_counter()
    connection.request("POST", f"/v1/indexes/{index}/search", msgspec.json.encode(request))
    response = connection.getresponse()
    body = response.read()
    elapsed = (time.perf_counter() - started) * 1e3
    answer = msgspec.json.decode(body)
    if response.status != 200:
        raise BenchmarkFailed(f"search {request} was answered {response.status}: {answer}")
    stages = server_timing(response.headers.get("Server-Timing", ""))
    stages.pop("total", None)
    return Searched(answer, elapsed, stages)


def search_undegraded(
    connection: http.client.HTTPConnection, index: str, request: Mapping[str, Any], attempts: int = 1
) -> Searched:
    """Search until the answer is complete.

    attempts: how often to search at most; right after an import a query's vector may be late the first time

    Raises BenchmarkFailed if every answer is degraded.
    """
    for _ in range(attempts):
        searched = search(connection, index, request)
        if not searched.answer["degraded"]:
            return searched
    raise BenchmarkFailed(f"search {request} was degraded {attempts} times: {searched.answer['degraded']}")


def search_all(port: int, index: str, queries: Sequence[str], n_connections: int) -> tuple[list[float], int]:
    """Search for all queries, as fast as they are answered, over several open connections.

    Runs on one thread and without an HTTP library: a client as heavy as the service would take half of a small
    machine from it.

    Returns (milliseconds of each search, number of degraded answers).
    Raises BenchmarkFailed if a search is refused.
    """
    remaining = iter(queries)
    times: list[float] = []
    bodies: list[bytes] = []
    with selectors.DefaultSelector() as selector, ExitStack() as connections:

        def send_next(connection: socket.socket) -> None:
            query = next(remaining, None)
            if query is None:
                selector.unregister(connection)
                return
            body = msgspec.json.encode({"query": query})
            head = f"POST /v1/indexes/{index}/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            selector.modify(connection, selectors.EVENT_READ, (time.perf_counter(), bytearray()))
            connection.sendall(head.encode() + body)

        for _ in range(min(n_connections, len(queries))):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            send_next(connection)
        while selector.get_map():
            for key, _ in selector.select():
                connection = cast("socket.socket", key.fileobj)
                sent, received = key.data
                chunk = connection.recv(RECEIVE_BYTES)
                if not chunk:
                    raise BenchmarkFailed("the service closed a connection")
                received += chunk
                body = complete_body(received)
                if body is not None:
                    times.append((time.perf_counter() - sent) * 1e3)
                    bodies.append(body)
                    send_next(connection)
    return times, sum(bool(msgspec.json.decode(body)["degraded"]) for body in bodies)


def complete_body(received: bytearray) -> bytes | None:
    """Return the body of an HTTP response, or None while part of it is missing.

    Raises BenchmarkFailed if the status is not 200.
    """
    head, blank_line, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if not blank_line or length is None or len(body) < int(length[1]):
        return None
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise BenchmarkFailed(f"a search was answered {bytes(received[:500])!r}")
    return bytes(body)


def server_timing(header: str) -> dict[str, float]:
    """Parse a Server-Timing header into milliseconds by stage."""
    parts = (part.strip().split(";dur=") for part in header.split(",") if part)
    return {name: float(ms) for name, ms in parts}
