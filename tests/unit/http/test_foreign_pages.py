"""Pages of other sites change nothing, and addresses of clients come from trusted proxies only."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from litestar import Litestar, delete, get, post
from litestar.testing import TestClient

from events.errors import SearchsvcError
from searchsvc.http.client_address import ClientAddress
from searchsvc.http.foreign_pages import READS, ForeignPages
from searchsvc.http.problems import answer_problem


@get("/read")
async def read() -> str:
    return "read"


@post("/search", opt={READS: True})
async def search() -> str:
    return "found"


@post("/change", status_code=200)
async def change() -> str:
    return "changed"


@delete("/change", status_code=200)
async def remove() -> str:
    return "gone"


GUARD = ForeignPages(["search.shop.example"], ["https://shop.example"])
ROUTES = Litestar(
    [read, search, change, remove],
    guards=[GUARD],
    exception_handlers={SearchsvcError: answer_problem},
)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "searchsvc:8000"}, 200),
        ({"Host": "SEARCH.shop.example"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8000"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "search.shop.example", "Origin": "https://search.shop.example"}, 200),
        ({"Host": "localhost:8000", "Origin": "https://shop.example"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://shop.example"}, 403),
        ({"Host": "localhost:8000", "Origin": "https://shop.example.evil.example"}, 403),
        ({"Host": "localhost:8000", "Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://[::1"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_who_may_change_something(headers: dict[str, str], status: int, method: str) -> None:
    with TestClient(ROUTES) as client:
        answer = client.request(method, "/change", headers=headers)
        assert answer.status_code == status, answer.text
        if status == 403:
            problem = answer.json()
            assert problem["field"] in ("Host", "Origin", "Sec-Fetch-Site")
            assert problem["limit"]


def test_anyone_may_read_and_search() -> None:
    foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
    with TestClient(ROUTES) as client:
        assert client.get("/read", headers=foreign).status_code == 200
        assert client.post("/search", headers=foreign).status_code == 201


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        ([], "203.0.113.9", "10.0.0.1"),
        (["192.168.0.0/16"], "203.0.113.9", "10.0.0.1"),
        (["10.0.0.0/8"], "203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (["10.0.0.0/8"], "203.0.113.9, junk", "10.0.0.1"),
        (["10.0.0.0/8"], "", "10.0.0.1"),
        (["10.0.0.0/8"], "203.0.113.9, ::ffff:10.0.0.7", "203.0.113.9"),
        (["10.0.0.0/8"], "2001:db8::1", "2001:db8::1"),
    ],
)
@pytest.mark.anyio
async def test_the_address_of_a_client_comes_from_trusted_proxies_only(
    proxies: list[str], forwarded: str, seen: str
) -> None:
    clients: list[object] = []

    async def note_client(scope: Any, receive: Any, send: Any) -> None:
        clients.append(scope["client"])

    scope: Any = {
        "type": "http",
        "client": ("10.0.0.1", 4000),
        "headers": [(b"x-forwarded-for", forwarded.encode())],
    }
    nothing: Any = None
    await ClientAddress(note_client, [ip_network(proxy) for proxy in proxies])(scope, nothing, nothing)
    assert clients == [(seen, 4000)]
