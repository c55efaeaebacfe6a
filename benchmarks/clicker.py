"""A client that clicks over NATS, as another system would: it publishes to INGEST with the account for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import nats
import nats.aio.client

from benchmarks.running import RunningService
from events import server


class Clicker:
    """A connection to the nats-server of a service.

    index: that the clicks are for
    """

    def __init__(self, connection: nats.aio.client.Client, index: str) -> None:
        self._connection = connection
        self._subject = f"ingest.{index}"

    async def click(self, query_id: str, document_id: str, user: str) -> None:
        event = {"type": "click", "query_id": query_id, "document_id": document_id, "user_token": user}
        await self._connection.publish(self._subject, msgspec.json.encode(event))

    async def flush(self) -> None:
        """Wait until the server has received all clicks."""
        await self._connection.flush()


@asynccontextmanager
async def clicker(service: RunningService, index: str) -> AsyncIterator[Clicker]:
    """Connect a clicker to a running service."""
    address = server.read_address(service.data_dir)
    account = address.accounts["ingest"]
    connection = await nats.connect(address.url, user=account.user, password=account.password)
    try:
        yield Clicker(connection, index)
    finally:
        await connection.close()
