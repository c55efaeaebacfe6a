"""Events that could not be used: looked at, and sent on their way again once what was wrong is mended.

A replay is an interaction of its own, whose id follows from the refusal: however often it is asked for, it counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec

from events.codec import decode_behavior_event, decode_dead, encode
from events.control import ControlState
from events.errors import Corrupt, InvalidInput, LaterVersion
from events.log import Entry, EventLog
from events.streams import dead_subject
from events.types import EventRefused, EventReplayed, InteractionRecorded
from searchsvc.behavior.intake import EventInput, interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.writer import BehaviorWriter

MAX_REPLAY = 1000

_input = msgspec.json.Decoder(EventInput, strict=True)


class DeadLetter(msgspec.Struct, frozen=True):
    """A refused event. seq: of DEAD."""

    seq: int
    refused_at: datetime
    refused: EventRefused


class StillRefused(msgspec.Struct, frozen=True):
    """Why an event could not be used this time either. It stays in DEAD, with its first reason."""

    id: str
    reason: str


class Replayed(msgspec.Struct, frozen=True):
    """n_replayed: sent on their way again; whether they are joined this time, DEAD will tell."""

    n_replayed: int
    still_refused: list[StillRefused]


class DeadLetters:
    """DEAD of one service. control: CONTROL as it is served."""

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
        """All that are there, oldest first; of one index or key where given. Raises Unavailable."""
        found = []
        async for record in self._log.read("DEAD"):
            try:
                event = decode_dead(record.data)
            except LaterVersion:
                continue  # for a later version to replay
            if isinstance(event, EventRefused) and index in ("", _index(event)) and key in ("", event.key):
                found.append(DeadLetter(record.seq, record.timestamp, event))
        return found

    async def replay(self, *, ids: list[str], index: str = "", key: str = "") -> Replayed:
        """Check refused events again and record those that are good, at most 1,000, oldest first.

        ids: of refused events; empty takes all. Raises InvalidInput for an id that is not there, and Unavailable, after
        which the same call goes on where it stopped.
        """
        letters = [one for one in await self.letters(index=index, key=key) if not ids or one.refused.id in ids]
        unknown = set(ids) - {one.refused.id for one in letters}
        if unknown:
            first = min(unknown)
            raise InvalidInput(
                f"DEAD has no event {first[:80]!r}", field="ids", value=first, limit="ids of refused events"
            )
        n_replayed, still_refused = 0, list[StillRefused]()
        for letter in letters[:MAX_REPLAY]:
            refused = letter.refused
            new_id = f"{refused.id[:100]}.r{letter.seq}"
            try:
                event = self._again(refused, new_id)
            except InvalidInput as error:
                still_refused.append(StillRefused(refused.id, error.message))
                continue
            await self._writer.append([event])
            replayed = EventReplayed(id=refused.id, timestamp=datetime.now(UTC), source=refused.source, new_id=new_id)
            await self._log.append("DEAD", Entry(dead_subject(refused.source, refused.id), encode(replayed)))
            n_replayed += 1
        return Replayed(n_replayed, still_refused)

    def _again(self, refused: EventRefused, new_id: str) -> InteractionRecorded:
        """The interaction to record now. Raises InvalidInput."""
        now = datetime.now(UTC)
        try:
            if refused.source == "join":
                recorded = decode_behavior_event(refused.payload.encode())
                if isinstance(recorded, InteractionRecorded):
                    return msgspec.structs.replace(recorded, id=new_id, received_at=now, replay_of=refused.id)
            event = _input.decode(refused.payload)
        except (Corrupt, LaterVersion, msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"the payload is no event: {error}") from error
        index = _index(refused)
        self._control().index(index)
        checked = interaction(
            event,
            index=index,
            now=now,
            source=refused.source,
            default_id=new_id,
            rankings=self._rankings,
            pseudonym=partial(self._keyring.pseudonym_again, now=now),
        )
        return msgspec.structs.replace(checked, id=event.id or new_id, replay_of=refused.id)


def _index(refused: EventRefused) -> str:
    """The index that an event was meant for, from its subject."""
    return refused.subject.partition(".")[2]
