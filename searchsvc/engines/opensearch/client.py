"""The client library, imported and configured. Import it from here only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import events

# opensearch-py imports the package `Events`, whose module has the name of ours, for counting requests. We do not count
# them: the import only has to succeed.
if not hasattr(events, "Events"):
    events.Events = object  # type: ignore[attr-defined]

from opensearchpy import AsyncOpenSearch
from opensearchpy import exceptions as foreign
from opensearchpy.serializer import Serializer

__all__ = ["JSON", "NDJSON", "AsyncOpenSearch", "client_of", "close_client", "foreign", "raw_client_of"]

# It logs the address of each request. Our callers log failures.
logging.getLogger("opensearch").setLevel(logging.ERROR)

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"


class RawSerializer(Serializer):
    """Passes bodies and replies through unchanged: msgspec encodes and decodes them."""

    mimetype = JSON

    def loads(self, s: str) -> str:
        return s

    def dumps(self, data: Any) -> Any:
        return data


def client_of(hosts: Sequence[str], **options: Any) -> AsyncOpenSearch:
    """Return a client with these options; without any, as the library configures it."""
    return AsyncOpenSearch(hosts=list(hosts), **options)


def raw_client_of(hosts: Sequence[str], **options: Any) -> AsyncOpenSearch:
    """Return a client whose bodies and replies are raw.

    It retries each request on every host: all of our requests may be sent twice.
    """
    raw = RawSerializer()
    return client_of(hosts, serializer=raw, serializers={JSON: raw}, max_retries=len(hosts), **options)


async def close_client(client: AsyncOpenSearch) -> None:
    """Close all connections, also those to hosts that were away, which the client itself forgets."""
    pool = client.transport.connection_pool
    for connection in getattr(pool, "orig_connections", ()):
        await connection.close()
    await client.close()
