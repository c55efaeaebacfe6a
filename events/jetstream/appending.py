"""Appending messages, one at a time or as an atomic batch."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from events.errors import Conflict, Corrupt, Unavailable
from events.jetstream.connection import translate
from events.jetstream.session import TIMEOUT_S, Session
from events.jetstream.streams import ServerStreams
from events.log import Entry, check_batch
from events.streams import StreamName

WRONG_LAST_SEQUENCE: Final = 10071
DUPLICATE_IN_BATCH: Final = 10201
# After so many, other tasks of the event loop get a turn.
MESSAGES_A_TURN: Final = 32
# At once: the server refuses more than fifty of a stream.
MAX_BATCHES: Final = 16


class Appender:
    """Appends to the streams of a session: see `events.log.EventLog`.

    before_append: called before each write; an exception from it refuses the write
    """

    def __init__(self, session: Session, streams: ServerStreams, before_append: Callable[[], None]) -> None:
        self._session = session
        self._streams = streams
        self._before_append = before_append
        self._batches = asyncio.Semaphore(MAX_BATCHES)

    async def append(self, stream: StreamName, entry: Entry, *, expected_last_seq: int | None = None) -> int:
        check_batch(stream, [entry])
        self._before_append()
        headers = _headers(entry)
        if expected_last_seq is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_last_seq)
        try:
            publishing = self._session.js.publish(entry.subject, entry.data, stream=stream, headers=headers or None)
            ack = await self._session.connection.call(publishing, f"appending to {stream}")
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return await self._resolve_conflict(stream, entry, expected_last_seq)
            raise translate(error, f"appending to {stream}") from error
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"appending to {stream}") from error
        return int(ack.seq)

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        check_batch(stream, entries)
        if len(entries) == 1:
            return await self.append(stream, entries[0])
        async with self._batches:
            return await self._append_batch(stream, entries)

    async def _append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        self._before_append()
        reply = await self._session.call(self._send_batch(entries), f"appending {len(entries)} messages to {stream}")
        answer = json.loads(reply.data)
        if "error" in answer and answer["error"].get("err_code") == DUPLICATE_IN_BATCH:
            return await self._stored_before(stream, entries[-1])
        if "error" in answer and answer["error"].get("err_code") == WRONG_LAST_SEQUENCE:
            return await self._resolve_batch_conflict(stream, entries)
        if "error" in answer:
            raise Unavailable(f"{stream} refused a batch: {answer['error'].get('description')}")
        if answer.get("count") != len(entries):
            raise Corrupt(f"{stream} stored {answer.get('count')} of a batch of {len(entries)}")
        return int(answer["seq"])

    async def _send_batch(self, entries: Sequence[Entry]) -> Msg:
        """Publish the messages of a batch, and return the server's reply to the last one, which commits it."""
        headers = {"Nats-Batch-Id": uuid.uuid4().hex}
        for i, entry in enumerate(entries[:-1], start=1):
            own = {**headers, "Nats-Batch-Sequence": str(i), **_headers(entry)}
            await self._session.client.publish(entry.subject, entry.data, headers=own)
            if i % MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)  # publishing waits for nothing, and others have to have their turn
        last = {**headers, "Nats-Batch-Sequence": str(len(entries)), "Nats-Batch-Commit": "1", **_headers(entries[-1])}
        return await self._session.client.request(
            entries[-1].subject, entries[-1].data, timeout=2 * TIMEOUT_S, headers=last
        )

    async def _stored_before(self, stream: StreamName, last: Entry) -> int:
        """Return the sequence of the last message of a batch that was stored before, or of the one that replaced it."""
        newest = await self._session.call(
            self._session.js.get_last_msg(stream, last.subject), f"looking at {last.subject}"
        )
        return int(newest.seq or 0)

    async def _resolve_conflict(self, stream: StreamName, entry: Entry, expected_last: int | None) -> int:
        """Tell a retry of a stored message from a conflict: its id is then that of the subject's last message."""
        try:
            looking = self._session.js.get_last_msg(stream, entry.subject)
            last = await self._session.connection.call(looking, f"looking at {entry.subject}")
        except nats.js.errors.NotFoundError:
            last = None
        except (nats.errors.Error, OSError) as error:
            raise translate(error, f"looking at {entry.subject}") from error
        if last is not None and entry.msg_id and (last.headers or {}).get("Nats-Msg-Id") == entry.msg_id:
            return int(last.seq or 0)
        if expected_last is not None:
            actual = (await self._streams.stream_state(stream)).last_seq
            raise Conflict(f"{stream} moved on", field="expected_last_seq", value=expected_last, actual=actual)
        actual = int(last.seq or 0) if last is not None else 0
        raise Conflict(
            f"{entry.subject} moved on", field="expected_subject_seq", value=entry.expected_subject_seq, actual=actual
        )

    async def _resolve_batch_conflict(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        """Tell a retry of a stored batch from a conflict: its ids are then those of the subjects' last messages."""
        last = await self._streams.last(stream, [entry.subject for entry in entries])
        newest = last.get(entries[-1].subject)
        if newest is not None and entries[-1].msg_id and newest.msg_id == entries[-1].msg_id:
            return newest.seq
        for entry in entries:
            expected, actual = entry.expected_subject_seq, last[entry.subject].seq if entry.subject in last else 0
            if expected not in (None, actual):
                raise Conflict(f"{entry.subject} moved on", field="expected_subject_seq", value=expected, actual=actual)
        raise Unavailable(f"{stream} refused a batch that was right a moment later")


def _headers(entry: Entry) -> dict[str, str]:
    """Return the headers by which the server recognizes a retry and a conflict."""
    headers = {"Nats-Msg-Id": entry.msg_id} if entry.msg_id else {}
    if entry.expected_subject_seq is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(entry.expected_subject_seq)
    return headers
