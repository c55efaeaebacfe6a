"""Which connections the server holds, and which it closes. Knows nothing of HTTP.

When there are too many, the server closes a connection that waits for its client: one without a request first, because
that costs its client nothing. A request that is being processed is never closed for another client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol

import msgspec

from events.sizes import MIB

# What a connection waits for: a request, the rest of a header or body, or the client reading its answer; '' while a
# request is being processed.
Waiting = Literal["request", "header", "body", "reader", ""]

MIN_BODY_BYTES_PER_S: Final = 4096
# The rate of a body is checked from this age on.
BODY_RATE_AFTER_S: Final = 30.0
_LATE: Final[dict[Waiting, str]] = {
    "request": "no request came in time",
    "header": "the header of a request was not complete in time",
    "body": "the body of a request came too slowly",
    "reader": "the client did not read its answer in time",
}
# How much a client loses if its connection is closed.
_LOSS: Final[dict[Waiting, int]] = {"request": 0, "header": 1, "body": 2, "reader": 3, "": 4}


class Timeouts(msgspec.Struct, frozen=True):
    """How long a connection may wait for its client, in seconds.

    first: for the first byte of the first request
    header: for a header, from its first byte
    idle: for another request
    body: for the next bytes of a body
    reader: for the client to take any bytes of an answer
    """

    first: float = 15.0
    header: float = 15.0
    idle: float = 75.0
    body: float = 20.0
    reader: float = 30.0


class Limits(msgspec.Struct, frozen=True):
    """How much the connections together may hold.

    connections: at once
    connections_per_client: at once, from one address
    body_bytes: of requests that are not answered yet
    """

    connections: int = 4096
    connections_per_client: int = 512
    body_bytes: int = 256 * MIB


class HeldConnection(Protocol):
    """A connection, as far as it matters here. Times are of a monotonic clock, in seconds.

    address: of its client
    has_served: whether a request was answered on it
    waits_for: what it waits for
    waits_since: since when
    request_since: when its request began
    n_body_bytes: of its requests that are not answered yet
    """

    address: str
    has_served: bool
    waits_for: Waiting
    waits_since: float
    request_since: float
    n_body_bytes: int

    def drop(self, reason: str) -> None:
        """Close it at once."""


class Connections:
    """The connections of a server.

    n_body_bytes: of all their requests that are not answered yet
    """

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self._limits = limits
        self._timeouts = timeouts
        self._held: dict[HeldConnection, None] = {}
        self._by_client: dict[str, dict[HeldConnection, None]] = {}
        self.n_body_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, new: HeldConnection, *, is_exempt: bool = False) -> bool:
        """Track another connection; return False if there is no room, even after closing one that waits for its client.

        is_exempt: its client may have any number: it is a trusted proxy
        """
        of_client = self._by_client.get(new.address, {})
        if not is_exempt and len(of_client) >= self._limits.connections_per_client and not self._make_room(of_client):
            return False
        if len(self._held) >= self._limits.connections and not self._make_room(self._held):
            return False
        self._held[new] = None
        self._by_client.setdefault(new.address, {})[new] = None
        return True

    def release(self, connection: HeldConnection) -> None:
        """Stop tracking a connection."""
        if connection not in self._held:
            return
        del self._held[connection]
        self.count_body(connection, -connection.n_body_bytes)
        of_client = self._by_client[connection.address]
        del of_client[connection]
        if not of_client:
            del self._by_client[connection.address]

    def count_body(self, connection: HeldConnection, n_bytes: int) -> bool:
        """Count bytes of a body; return False if there is no room, even after closing all other bodies that wait."""
        connection.n_body_bytes += n_bytes
        self.n_body_bytes += n_bytes
        while n_bytes > 0 and self.n_body_bytes > self._limits.body_bytes:
            others = (other for other in self._held if other is not connection and other.waits_for == "body")
            longest_waiting = min(others, key=lambda other: other.waits_since, default=None)
            if longest_waiting is None:
                return False
            self._drop(longest_waiting, "the service holds too many unfinished requests")
        return True

    def sweep(self, now: float) -> None:
        """Close the connections that have waited too long for their clients."""
        for connection in [connection for connection in self._held if self._is_late(connection, now)]:
            self._drop(connection, _LATE[connection.waits_for])

    def _is_late(self, connection: HeldConnection, now: float) -> bool:
        waited_s = now - connection.waits_since
        match connection.waits_for:
            case "":
                return False
            case "request":
                return waited_s > (self._timeouts.idle if connection.has_served else self._timeouts.first)
            case "header":
                return now - connection.request_since > self._timeouts.header
            case "body":
                took_s = now - connection.request_since
                is_slow = took_s > BODY_RATE_AFTER_S and connection.n_body_bytes < MIN_BODY_BYTES_PER_S * took_s
                return is_slow or waited_s > self._timeouts.body
            case "reader":
                return waited_s > self._timeouts.reader

    def _make_room(self, connections: Iterable[HeldConnection]) -> bool:
        """Close the connection whose client loses least: one that served nothing first, then the longest waiting."""
        waiting = (connection for connection in connections if connection.waits_for)
        longest_waiting = min(waiting, key=lambda c: (_LOSS[c.waits_for], c.has_served, c.waits_since), default=None)
        if longest_waiting is None:
            return False
        self._drop(longest_waiting, "others need the connection")
        return True

    def _drop(self, connection: HeldConnection, reason: str) -> None:
        self.release(connection)
        connection.drop(reason)
