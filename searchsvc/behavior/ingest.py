"""Interactions that other systems publish to `ingest.<index>`: validated, recorded, and only then acknowledged.

What fails validation goes to DEAD with its reason. A message that is handed out again gets the same event id, so it
counts once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from events.codec import encode
from events.control import ControlState
from events.errors import Conflict, InvalidInput, Unavailable
from events.log import Delivery, Entry, EventLog, Record
from events.streams import dead_subject
from events.types import EventRefused, InteractionRecorded
from searchsvc.behavior.intake import EventInput, interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.redaction import redacted
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.runtime.limits import MAX_TOKEN_CHARS

DURABLE = "searchsvc-ingest"
MAX_IN_FLIGHT = 256
TOKEN_NAME = "user_token"  # noqa: S105 - the member's name
# In what is no JSON: the name, a colon, and a string, whole or cut off, or whatever else stands there.
_TOKEN = re.compile(r'("?user_token"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]&]*)')

log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(EventInput, strict=True)


class IngestConsumer:
    """Shares INGEST with every other service on the same server. `run` goes on until it is cancelled.

    control: CONTROL as it is served.
    """

    def __init__(
        self,
        event_log: EventLog,
        writer: BehaviorWriter,
        rankings: RecentRankings,
        keyring: Keyring,
        control: Callable[[], ControlState],
    ) -> None:
        self._log = event_log
        self._writer = writer
        self._rankings = rankings
        self._keyring = keyring
        self._control = control
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
                if refusal.field == "index":
                    await self._require_current()
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

    async def _require_current(self) -> None:
        """Raise Unavailable where this service is behind: an index that it does not know may be there by now."""
        last_seq = (await self._log.position("CONTROL")).last_seq
        if last_seq > self._control().seq:
            raise Unavailable(f"CONTROL reaches {last_seq}, and {self._control().seq} is served")

    def _validated(self, delivery: Delivery) -> InteractionRecorded:
        record = delivery.record
        index = record.subject.partition(".")[2]
        self._control().index(index)
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
            now=record.timestamp,
            source="nats",
            default_id=_event_id(record),
            rankings=self._rankings,
            pseudonym=partial(self._keyring.pseudonym, now=record.timestamp),
        )

    async def _refuse(self, delivery: Delivery, refusal: InvalidInput) -> None:
        record = delivery.record
        event_id = _event_id(record)
        payload, key = self._kept_private(record)
        await self._keyring.settle()
        await store_refusal(
            self._log,
            EventRefused(
                id=event_id,
                timestamp=datetime.now(UTC),
                source="nats",
                subject=record.subject,
                reason=refusal.message,
                field=refusal.field,
                payload=payload,
                key=key or event_id,
            ),
        )

    def _kept_private(self, record: Record) -> tuple[str, str]:
        """The payload without its user's token, and the ranking that it names, as far as it can be read."""
        text = record.data.decode(errors="replace")
        try:
            payload: object = msgspec.json.decode(record.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return redacted(_TOKEN.sub(r'\1""', text)), ""
        query_id = payload.get("query_id") if isinstance(payload, dict) else None
        if TOKEN_NAME in text:
            pseudonym = partial(self._keyring.pseudonym, now=record.timestamp)
            text = msgspec.json.encode(_pseudonymous(payload, pseudonym)).decode()
        return text, query_id if isinstance(query_id, str) else ""


def _pseudonymous(payload: object, pseudonym: Callable[[str], str]) -> object:
    """The same with a pseudonym in place of every `user_token`, wherever it stands and whatever it is."""
    if isinstance(payload, list):
        return [_pseudonymous(item, pseudonym) for item in payload]
    if not isinstance(payload, dict):
        return payload
    return {
        name: pseudonym(str(value)[:MAX_TOKEN_CHARS]) if name == TOKEN_NAME else _pseudonymous(value, pseudonym)
        for name, value in payload.items()
    }


def _event_id(record: Record) -> str:
    """For an event that brought none: the same whenever its message is handed out again, and no other's, also after the
    stream was made anew and counts from 1 again."""
    return f"ingest-{record.seq}-{round(record.timestamp.timestamp() * 1e6):x}"


async def store_refusal(event_log: EventLog, refused: EventRefused) -> None:
    """Append to DEAD, once for each refused event however often it is refused."""
    entry = Entry(dead_subject(refused.source, refused.id), encode(refused), f"dead-{refused.source}-{refused.id}")
    with suppress(Conflict):
        await event_log.append("DEAD", entry, expected_subject_seq=0)
