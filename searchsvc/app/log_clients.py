"""Connections to a service's log from outside the service, for commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

from events import server
from events.errors import SearchsvcError
from events.jetstream.event_log import JetStreamEventLog, connect
from searchsvc.app import clock_guard
from searchsvc.runtime.config import Config


@asynccontextmanager
async def reading_log(config: Config) -> AsyncIterator[JetStreamEventLog]:
    """Connect to the log of a running service, to read it. Raises Unavailable, and Corrupt for another format."""
    nats = config.nats
    if nats.url:
        event_log = await connect(nats.url, user=nats.user, password=nats.password, role="reader")
    else:
        address = server.read_address(config.data_path)

        def password() -> str:
            # Read again: after a restart the server is another process.
            try:
                return server.read_address(config.data_path).password("reader")()
            except SearchsvcError as error:
                raise ConnectionRefusedError(str(error)) from error

        user = address.accounts["reader"].user
        event_log = await connect(address.url, user=user, password=password, role="reader")
    try:
        if nats.url:
            await event_log.require_format()
        yield event_log
    finally:
        await event_log.close()


@contextmanager
def own_server(config: Config) -> Iterator[server.NatsServer | None]:
    """Run the log's server of a stopped service; yields None if a server is configured instead.

    Raises Unavailable if the service is running, and Corrupt if the clock may be far ahead and is not accepted: the
    server drops what is too old as soon as it runs.
    """
    if config.nats.url:
        yield None
        return
    clock_guard.require_plausible(config.data_path, datetime.now(UTC), accept=config.accept_clock)
    nats = server.start(config.data_path, port=config.nats.port, ingest_password=config.nats.ingest_password)
    try:
        yield nats
    finally:
        nats.stop()


@asynccontextmanager
async def writing_log(config: Config, nats: server.NatsServer | None) -> AsyncIterator[JetStreamEventLog]:
    """Connect to the log of a stopped service, with all streams, to write it. Raises Unavailable.

    nats: what `own_server` yields.
    """
    if nats is None:
        event_log = await connect(config.nats.url, user=config.nats.user, password=config.nats.password)
    else:
        user = nats.address.accounts["service"].user
        event_log = await connect(nats.address.url, user=user, password=nats.service_password)
    try:
        await event_log.ensure_streams(replicas=config.nats.replicas or event_log.default_replicas)
        yield event_log
    finally:
        await event_log.close()
