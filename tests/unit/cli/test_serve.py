"""The port and the index that `serve` and `demo` choose."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from events.errors import InvalidInput, Unavailable
from searchsvc.cli.serve import index_name, reserve_port


def test_port_0_takes_a_free_one_and_keeps_it_for_who_shares_it() -> None:
    with reserve_port("127.0.0.1", 0) as reserved, socket.socket() as other, socket.socket() as sharing:
        address = reserved.getsockname()
        assert address[1] > 0
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(address)
        with pytest.raises(Unavailable, match="is not free"):
            reserve_port(*address)
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(address)
        sharing.listen()
        with socket.create_connection(address) as client, sharing.accept()[0] as accepted:
            assert accepted.getpeername() == client.getsockname()


def test_a_port_that_is_in_use_is_refused() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 is not free"):
            reserve_port("127.0.0.1", port)


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="host 'no host' is no address"):
        reserve_port("no host", 0)


@pytest.mark.parametrize(
    ("path", "name"),
    [("Products.jsonl.gz", "products"), ("electronics/docs.jsonl", "electronics"), (".jsonl", "demo")],
)
def test_an_index_is_named_after_its_file_or_folder(tmp_path: Path, path: str, name: str) -> None:
    assert index_name(tmp_path / path) == name
