"""Interactions that other systems publish to `ingest.<index>`.

A message is acknowledged after its event is recorded, or, if it is invalid, after it is in DEAD with the reason. A
message that is delivered again gets the same event id, so it counts once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

import msgspec

from events.control import ControlState
from events.errors import InvalidInput, Unavailable
from events.log import Delivery, EventLog, Record
from events.tasks import Spawned
from events.types import EventRefused, InteractionRecorded
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.intake import EventInput, check_interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.redaction import redacted
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.runtime.limits import MAX_TOKEN_CHARS

DURABLE: Final = "searchsvc-ingest"
MAX_IN_FLIGHT: Final = 256
TOKEN_NAME: Final = "user_token"  # noqa: S105 - the member's name
# In text that is not JSON: the name, a separator, and a string, complete or cut off, or anything up to a delimiter.
_TOKEN: Final = re.compile(r'("?user_token"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]&]*)')

log = logging.getLogger(__name__)
_event_decoder: Final = msgspec.json.Decoder(EventInput, strict=True)


class _PrivatePayload(NamedTuple):
    """A payload that may be stored.

    text: without its user's token.
    query_id: the ranking that it names; '' if it cannot be read.
    """

    text: str
    query_id: str


class IngestConsumer:
    """Consumes INGEST, shared with the other services on the same server. `run` goes on until it is cancelled.

    control: returns CONTROL as it is served now.
    n_handled: messages handled since the start, or left to be delivered again.
    """

    def __init__(
        self,
        event_log: EventLog,
        writer: BehaviorWriter,
        rankings: RecentRankings,
        keyring: Keyring,
        control: Callable[[], ControlState],
        dead: DeadStore,
    ) -> None:
        self._log = event_log
        self._dead = dead
        self._writer = writer
        self._rankings = rankings
        self._keyring = keyring
        self._control = control
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self.n_handled = 0

    async def run(self) -> None:
        """Handle deliveries, up to `MAX_IN_FLIGHT` at once."""
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)  # a new one: tasks that were cancelled early gave none back
        async with Spawned() as handling:
            async for delivery in self._log.consume("INGEST", DURABLE):
                await self._slots.acquire()
                handling.start(self._handle(delivery), f"ingest {delivery.record.seq}")

    async def _handle(self, delivery: Delivery) -> None:
        """Record or refuse one delivery, then acknowledge it; without an acknowledgement it is delivered again."""
        try:
            await self._record(delivery.record)
            await delivery.ack()
        except Unavailable as error:
            log.warning("ingest message %d waits: %s", delivery.record.seq, error)
        finally:
            self.n_handled += 1
            self._slots.release()

    async def _record(self, record: Record) -> None:
        """Store the event of a message, in BEHAVIOR if it is valid, else in DEAD. Raises Unavailable."""
        try:
            interaction = self._checked(record)
            if interaction is not None:
                await self._writer.append([interaction])
        except InvalidInput as refusal:
            if refusal.field == "index":
                await self._require_current_control()
            await self._refuse(record, refusal)
        except Unavailable:
            raise
        except Exception as error:
            # An unforeseen error in one event must not stop the others.
            log.exception("ingest message %d could not be processed", record.seq)
            await self._refuse(record, InvalidInput(f"the event could not be processed: {error!r}"))

    async def _require_current_control(self) -> None:
        """Raise Unavailable while this service is behind CONTROL: an index it has no record of may exist."""
        last_seq = (await self._log.stream_state("CONTROL")).last_seq
        if last_seq > self._control().seq:
            raise Unavailable(f"CONTROL ends at {last_seq}, but {self._control().seq} is served")

    def _checked(self, record: Record) -> InteractionRecorded | None:
        """Return the interaction to record, None if it is internal. Raises InvalidInput."""
        index = record.subject.partition(".")[2]
        self._control().index(index)
        try:
            event = _event_decoder.decode(record.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(f"the payload is no event: {error}") from error
        if event.index not in ("", index):
            reason = f"index is {event.index[:80]!r} in a message on {record.subject}; leave it out there"
            raise InvalidInput(reason, field="index", value=event.index, limit=index)
        interaction = check_interaction(
            event,
            index=index,
            now=record.timestamp,
            source="nats",
            default_id=_event_id(record),
            rankings=self._rankings,
            pseudonym=partial(self._keyring.pseudonym, now=record.timestamp),
        )
        return None if event.internal else interaction

    async def _refuse(self, record: Record, refusal: InvalidInput) -> None:
        """Put a message into DEAD, without its user's token."""
        event_id = _event_id(record)
        payload = self._private_payload(record)
        await self._keyring.ensure_stored()
        await self._dead.refuse(
            EventRefused(
                id=event_id,
                timestamp=datetime.now(UTC),
                source="nats",
                subject=record.subject,
                reason=refusal.message,
                field=refusal.field,
                payload=payload.text,
                key=payload.query_id or event_id,
            ),
        )

    def _private_payload(self, record: Record) -> _PrivatePayload:
        """Return a message's payload with a pseudonym in place of each token, as far as it can be decoded."""
        text = record.data.decode(errors="replace")
        try:
            payload: object = msgspec.json.decode(record.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _PrivatePayload(redacted(_TOKEN.sub(r'\1""', text)), "")
        query_id = payload.get("query_id") if isinstance(payload, dict) else None
        if TOKEN_NAME in text:
            pseudonym = partial(self._keyring.pseudonym, now=record.timestamp)
            text = msgspec.json.encode(_with_pseudonyms(payload, pseudonym)).decode()
        return _PrivatePayload(text, query_id if isinstance(query_id, str) else "")


def _with_pseudonyms(payload: object, pseudonym: Callable[[str], str]) -> object:
    """Replace every `user_token`, at any depth and of any type, by a pseudonym."""
    if isinstance(payload, list):
        return [_with_pseudonyms(item, pseudonym) for item in payload]
    if not isinstance(payload, dict):
        return payload
    return {
        name: pseudonym(str(value)[:MAX_TOKEN_CHARS]) if name == TOKEN_NAME else _with_pseudonyms(value, pseudonym)
        for name, value in payload.items()
    }


def _event_id(record: Record) -> str:
    """Return an id for an event that has none.

    It is the same whenever the message is delivered again. The timestamp keeps it apart from ids of an earlier stream,
    which also counted from 1.
    """
    return f"ingest-{record.seq}-{round(record.timestamp.timestamp() * 1e6):x}"
