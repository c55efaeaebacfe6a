"""The port and the index that `serve` and `demo` choose."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from events.errors import InvalidInput, Unavailable
from searchsvc.cli.serve import bound_socket, index_name


def test_port_0_takes_a_free_one_that_nobody_else_gets_once_it_listens() -> None:
    with bound_socket("127.0.0.1", 0) as bound:
        address = bound.getsockname()
        assert address[1] > 0
        bound.listen()
        with pytest.raises(Unavailable, match="is not free"):
            bound_socket(*address)


def test_a_port_that_is_in_use_is_refused() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 is not free"):
            bound_socket("127.0.0.1", port)


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="host 'no host' is no address"):
        bound_socket("no host", 0)


@pytest.mark.parametrize(
    ("path", "name"),
    [("Products.jsonl.gz", "products"), ("electronics/docs.jsonl", "electronics"), (".jsonl", "demo")],
)
def test_an_index_is_named_after_its_file_or_folder(tmp_path: Path, path: str, name: str) -> None:
    assert index_name(tmp_path / path) == name
