"""Which connections are held and which are closed, whatever clients do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from searchsvc.http.connections import Connections, Limits, Timeouts, Waiting

TIMEOUTS = Timeouts(first=10, header=10, idle=60, body=20, reader=30)


@dataclass(eq=False)
class Client:
    """A connection of a client."""

    address: str = "a"
    waits_for: Waiting = "request"
    waits_since: float = 0.0
    has_served: bool = False
    request_since: float = 0.0
    n_body_bytes: int = 0
    dropped: list[str] = field(default_factory=list)

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)


def held(limits: Limits, *clients: Client) -> Connections:
    connections = Connections(limits, TIMEOUTS)
    for client in clients:
        assert connections.admit(client)
    return connections


@pytest.mark.parametrize(
    ("waits_for", "has_served", "lasts_s"),
    [
        ("request", False, 10),
        ("request", True, 60),
        ("header", True, 10),
        ("body", False, 20),
        ("reader", True, 30),
    ],
)
def test_a_client_may_keep_the_service_waiting_for_so_long(
    waits_for: Waiting, has_served: bool, lasts_s: float
) -> None:
    client = Client(waits_for=waits_for, has_served=has_served)
    connections = held(Limits(), client)
    connections.sweep(lasts_s)
    assert client.dropped == []
    connections.sweep(lasts_s + 0.1)
    assert len(client.dropped) == 1
    assert len(connections) == 0


def test_a_request_that_is_being_answered_is_never_closed() -> None:
    client = Client(waits_for="")
    connections = held(Limits(connections=1), client)
    connections.sweep(1e6)
    assert not connections.admit(Client())
    assert client.dropped == []


def test_a_header_must_be_complete_in_time_however_often_bytes_come() -> None:
    client = Client(waits_for="header", waits_since=9.9)
    held(Limits(), client).sweep(10.1)
    assert client.dropped


def test_a_body_must_come_at_a_rate() -> None:
    slow, fast = (Client(waits_for="body", waits_since=99.0) for _ in range(2))
    connections = held(Limits(), slow, fast)
    connections.count_body(slow, 1000)
    connections.count_body(fast, 1_000_000)
    connections.sweep(100.0)
    assert slow.dropped
    assert not fast.dropped
    assert connections.n_body_bytes == 1_000_000


def test_for_one_more_the_one_that_waited_longest_and_never_asked_is_closed() -> None:
    silent, old, answered = Client(waits_since=5), Client(waits_since=3), Client(waits_since=1, has_served=True)
    connections = held(Limits(connections=3), silent, old, answered)
    assert connections.admit(Client("b"))
    assert [bool(client.dropped) for client in (silent, old, answered)] == [False, True, False]


def test_one_address_has_a_limit_and_a_proxy_has_none() -> None:
    first, second, other = Client("a"), Client("a", waits_since=1), Client("b")
    connections = held(Limits(connections_per_client=2), first, second, other)
    assert connections.admit(Client("a"))
    assert (first.dropped, second.dropped, other.dropped) == (["others need the connection"], [], [])
    assert connections.admit(Client("a"), is_exempt=True)
    assert second.dropped == []
    assert len(connections) == 4


def test_bodies_have_a_limit_together_and_the_one_that_stands_still_longest_is_closed() -> None:
    still, slower, other = (Client(waits_for="body", waits_since=since) for since in (1.0, 2.0, 3.0))
    connections = held(Limits(body_bytes=100), still, slower, other)
    for client in (still, slower):
        assert connections.count_body(client, 50)
    assert connections.count_body(other, 10)
    assert (bool(still.dropped), bool(slower.dropped)) == (True, False)
    assert connections.n_body_bytes == 60


def test_bytes_that_fit_nowhere_are_refused() -> None:
    answered, other = Client(waits_for=""), Client(waits_for="body")
    connections = held(Limits(body_bytes=100), answered, other)
    assert connections.count_body(answered, 100)
    assert not connections.count_body(other, 1)
    connections.release(answered)
    connections.release(answered)
    assert connections.n_body_bytes == 1
