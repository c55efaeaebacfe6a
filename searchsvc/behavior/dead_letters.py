"""Dead letters: events that could not be used, and their replay once the cause is fixed.

A replay records a new interaction whose id is derived from the refusal, so that it counts once however often it is
requested.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from events.codec import decode_behavior_event, decode_dead, encode
from events.control import ControlState
from events.errors import Conflict, Corrupt, InvalidInput, LaterVersion
from events.log import Entry, EventLog
from events.streams import dead_subject
from events.types import EventRefused, EventReplayed, InteractionRecorded
from searchsvc.behavior.intake import EventInput, check_interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.writer import BehaviorWriter

MAX_REPLAY: Final = 1000

_event_decoder: Final = msgspec.json.Decoder(EventInput, strict=True)


class DeadLetter(msgspec.Struct, frozen=True):
    """A refused event.

    seq: its message in DEAD.
    """

    seq: int
    refused_at: datetime
    refused: EventRefused


class StillRefused(msgspec.Struct, frozen=True):
    """An event that was refused again. It stays in DEAD with its first reason.

    reason: why it was refused this time.
    """

    id: str
    reason: str


class Replayed(msgspec.Struct, frozen=True):
    """The result of a replay.

    n_replayed: events recorded again. Joining them to their rankings may still fail; then they are in DEAD again.
    """

    n_replayed: int
    still_refused: list[StillRefused]


class DeadLetters:
    """The dead letters of one service.

    control: returns CONTROL as it is served now.
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

    async def letters(self, *, index: str = "", key: str = "") -> list[DeadLetter]:
        """Return all dead letters, oldest first. Raises Unavailable.

        index: only those of this index.
        key: only those of this key, such as a query id.
        """
        letters = []
        async for record in self._log.read("DEAD"):
            try:
                event = decode_dead(record.data)
            except LaterVersion:
                continue  # for a later version to replay
            if isinstance(event, EventRefused) and index in ("", _index_of(event)) and key in ("", event.key):
                letters.append(DeadLetter(record.seq, record.timestamp, event))
        return letters

    async def replay(self, *, ids: list[str], index: str = "", key: str = "") -> Replayed:
        """Check refused events again and record the good ones, at most 1,000, oldest first.

        ids: refused events; empty for all.
        index: only events of this index; '' for all.
        key: only events of this key; '' for all.
        Raises InvalidInput if DEAD has no event of an id. Raises Unavailable; the same call then continues.
        """
        letters = [letter for letter in await self.letters(index=index, key=key) if not ids or letter.refused.id in ids]
        missing_ids = set(ids) - {letter.refused.id for letter in letters}
        if missing_ids:
            missing = min(missing_ids)
            raise InvalidInput(
                f"DEAD has no event {missing[:80]!r}", field="ids", value=missing, limit="ids of refused events"
            )
        n_replayed, still_refused = 0, list[StillRefused]()
        for letter in letters[:MAX_REPLAY]:
            refused = letter.refused
            new_id = f"{refused.id[:100]}.r{letter.seq}"
            try:
                event = self._check_again(refused, new_id)
            except InvalidInput as error:
                still_refused.append(StillRefused(refused.id, error.message))
                continue
            await self._writer.append([event])
            replayed = EventReplayed(id=refused.id, timestamp=datetime.now(UTC), source=refused.source, new_id=new_id)
            await self._log.append("DEAD", Entry(dead_subject(refused.source, refused.id), encode(replayed)))
            n_replayed += 1
        return Replayed(n_replayed, still_refused)

    def _check_again(self, refused: EventRefused, new_id: str) -> InteractionRecorded:
        """Return the interaction to record now. Raises InvalidInput."""
        now = datetime.now(UTC)
        try:
            if refused.source == "join":
                recorded = decode_behavior_event(refused.payload.encode())
                if isinstance(recorded, InteractionRecorded):
                    return msgspec.structs.replace(recorded, id=new_id, received_at=now, replay_of=refused.id)
            event = _event_decoder.decode(refused.payload)
        except (Corrupt, LaterVersion, msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"the payload is no event: {error}") from error
        index = _index_of(refused)
        self._control().index(index)
        interaction = check_interaction(
            event,
            index=index,
            now=now,
            source=refused.source,
            default_id=new_id,
            rankings=self._rankings,
            pseudonym=partial(self._keyring.as_pseudonym, now=now),
        )
        return msgspec.structs.replace(interaction, id=event.id or new_id, replay_of=refused.id)


async def store_refusal(event_log: EventLog, refused: EventRefused) -> None:
    """Append a refused event to DEAD, once however often it is refused. Raises Unavailable."""
    entry = Entry(
        dead_subject(refused.source, refused.id),
        encode(refused),
        f"dead-{refused.source}-{refused.id}",
        expected_subject_seq=0,
    )
    with suppress(Conflict):
        await event_log.append("DEAD", entry)


def _index_of(refused: EventRefused) -> str:
    """Return the index an event was sent to, from its subject."""
    return refused.subject.partition(".")[2]
