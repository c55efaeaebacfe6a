"""Interactions that other systems publish to `ingest.<index>`: validated, recorded, and only then acknowledged.

What fails validation goes to DEAD with its reason. A message that is handed out again gets the same event id, so it
counts once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from events.codec import encode
from events.errors import Conflict, InvalidInput, Unavailable
from events.log import Delivery, Entry, EventLog, Record
from events.streams import dead_subject
from events.types import EventRefused, InteractionRecorded
from searchsvc.answer import MAX_TOKEN_CHARS
from searchsvc.behavior import BehaviorWriter
from searchsvc.intake import EventInput, interaction
from searchsvc.keyring import Keyring
from searchsvc.known import KnownRankings

DURABLE = "searchsvc-ingest"
MAX_IN_FLIGHT = 256

log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(EventInput, strict=True)


class IngestConsumer:
    """Shares INGEST with every other service on the same server. `run` goes on until it is cancelled.

    knows_index: whether there is an index of a name.
    """

    def __init__(
        self,
        event_log: EventLog,
        writer: BehaviorWriter,
        rankings: KnownRankings,
        keyring: Keyring,
        knows_index: Callable[[str], bool],
    ) -> None:
        self._log = event_log
        self._writer = writer
        self._rankings = rankings
        self._keyring = keyring
        self._knows_index = knows_index
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for delivery in self._log.consume("INGEST", DURABLE):
                await self._slots.acquire()
                tasks.create_task(self._take(delivery))

    async def _take(self, delivery: Delivery) -> None:
        try:
            try:
                await self._writer.append([self._validated(delivery)])
            except InvalidInput as refusal:
                await self._refuse(delivery, refusal)
            except Unavailable:
                raise
            except Exception as error:
                # Whatever it is, it must not keep the events of others.
                log.exception("ingest message %d could not be worked on", delivery.record.seq)
                await self._refuse(delivery, InvalidInput(f"it could not be worked on: {error!r}"))
            await delivery.ack()
        except Unavailable as error:
            # Not acknowledged: it is handed out again.
            log.warning("ingest message %d waits: %s", delivery.record.seq, error)
        finally:
            self._slots.release()

    def _validated(self, delivery: Delivery) -> InteractionRecorded:
        record = delivery.record
        index = record.subject.partition(".")[2]
        if not self._knows_index(index):
            raise InvalidInput(
                f"there is no index {index[:80]!r}", field="index", value=index, limit="an index that exists"
            )
        try:
            event = _decoder.decode(record.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(f"the payload is no event: {error}") from error
        if event.index not in ("", index):
            reason = f"index is {event.index[:80]!r} in a message on {record.subject}; leave it out there"
            raise InvalidInput(reason, field="index", value=event.index, limit=index)
        return interaction(
            event,
            index=index,
            now=record.at,
            source="nats",
            default_id=f"ingest-{record.seq}",
            rankings=self._rankings,
            pseudonym=partial(self._keyring.pseudonym, now=record.at),
        )

    async def _refuse(self, delivery: Delivery, refusal: InvalidInput) -> None:
        record = delivery.record
        event_id = f"ingest-{record.seq}"
        payload, key = self._kept_private(record)
        if self._keyring.dirty:
            await asyncio.to_thread(self._keyring.flush)
        await store_refusal(
            self._log,
            EventRefused(
                id=event_id,
                at=datetime.now(UTC),
                source="nats",
                subject=record.subject,
                reason=refusal.message,
                field=refusal.field,
                payload=payload,
                key=key or event_id,
            ),
        )

    def _kept_private(self, record: Record) -> tuple[str, str]:
        """The payload, with a pseudonym for its user, and the ranking that it names, as far as it can be read."""
        payload = record.data.decode(errors="replace")
        try:
            members = msgspec.json.decode(record.data, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return payload, ""
        token, query_id = members.get("user_token"), members.get("query_id")
        if isinstance(token, str) and token:
            members["user_token"] = self._keyring.pseudonym(token[:MAX_TOKEN_CHARS], record.at)
            payload = msgspec.json.encode(members).decode()
        return payload, query_id if isinstance(query_id, str) else ""


async def store_refusal(event_log: EventLog, refused: EventRefused) -> None:
    """Append to DEAD, once for each refused event however often it is refused."""
    entry = Entry(dead_subject(refused.source, refused.id), encode(refused), f"dead-{refused.source}-{refused.id}")
    with suppress(Conflict):
        await event_log.append("DEAD", entry, expected_subject_seq=0)
