"""Dead letters: events that could not be used, and their replay once the cause is fixed.

A replay records a new interaction whose id is derived from the refusal, so that it counts once however often it is
requested.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from events.codec import decode_behavior_event, decode_dead
from events.control import ControlState
from events.errors import Corrupt, InvalidInput, LaterVersion, require
from events.log import EventLog
from events.types import EventRefused, InteractionRecorded
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.intake import EventInput, check_interaction
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.runtime.pages import MAX_PAGE_ITEMS, Page

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


class DeadPage(msgspec.Struct, frozen=True):
    """Some dead letters, oldest first.

    next_after: the next page begins after this sequence, and may be empty; None if this is the last page.
    """

    letters: list[DeadLetter]
    next_after: int | None


class Replayed(msgspec.Struct, frozen=True):
    """The result of a replay.

    n_replayed: events recorded again. Joining them to their rankings may still fail; then they are in DEAD again.
    next_after: the events after this sequence are still to be replayed; None if all were.
    """

    n_replayed: int
    still_refused: list[StillRefused]
    next_after: int | None = None


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
        dead: DeadStore,
    ) -> None:
        self._log = event_log
        self._writer = writer
        self._rankings = rankings
        self._keyring = keyring
        self._control = control
        self._dead = dead

    async def page(
        self, *, ids: Collection[str] = (), index: str = "", key: str = "", after: int = 0, limit: int = MAX_PAGE_ITEMS
    ) -> DeadPage:
        """Return the first dead letters past a sequence, as many as fit a page. Raises InvalidInput and Unavailable.

        ids: only these; empty for all.
        index: only those of this index.
        key: only those of this key, such as a query id.
        limit: number of letters, at most.
        """
        require(after >= 0, "after", after, "0 or more")
        page = Page[DeadLetter](limit)
        async for letter, n_bytes in self._letters(after):
            refused = letter.refused
            is_chosen = not ids or refused.id in ids
            if not is_chosen or index not in ("", _index_of(refused)) or key not in ("", refused.key):
                continue
            if not page.add(letter, n_bytes):
                return DeadPage(page.items, page.items[-1].seq)
        return DeadPage(page.items, None)

    async def n_dropped(self) -> int:
        """Return how many dead letters were removed to make room. Raises Unavailable."""
        return (await self._dead.dropped()).n_dropped

    async def replay(self, *, ids: Collection[str], index: str = "", key: str = "", after: int = 0) -> Replayed:
        """Check a page of refused events again and record the good ones, oldest first.

        ids: refused events; empty for all.
        index: only events of this index; '' for all.
        key: only events of this key; '' for all.
        after: only events past this sequence.
        Raises InvalidInput if DEAD has no event of an id. Raises Unavailable; the same call then continues.
        """
        if ids and not after:
            await self._require_stored(ids, index, key)
        page = await self.page(ids=frozenset(ids), index=index, key=key, after=after)
        n_replayed, still_refused = 0, list[StillRefused]()
        for letter in page.letters:
            refused = letter.refused
            new_id = f"{refused.id[:100]}.r{letter.seq}"
            try:
                event = self._check_again(refused, new_id)
            except InvalidInput as error:
                still_refused.append(StillRefused(refused.id, error.message))
                continue
            await self._writer.append([event])
            await self._dead.replay(refused, new_id)
            n_replayed += 1
        return Replayed(n_replayed, still_refused, page.next_after)

    async def _letters(self, after: int) -> AsyncIterator[tuple[DeadLetter, int]]:
        """Yield the dead letters past a sequence, each with its size in bytes."""
        async for record in self._log.read("DEAD", after=after):
            with suppress(LaterVersion):  # for a later version to replay
                event = decode_dead(record.data)
                if isinstance(event, EventRefused):
                    yield DeadLetter(record.seq, record.timestamp, event), len(record.data)

    async def _require_stored(self, ids: Collection[str], index: str, key: str) -> None:
        """Raise InvalidInput if DEAD has no event of an id."""
        missing_ids, after = set(ids), 0
        while missing_ids:
            page = await self.page(ids=frozenset(missing_ids), index=index, key=key, after=after)
            missing_ids -= {letter.refused.id for letter in page.letters}
            if page.next_after is None:
                break
            after = page.next_after
        if missing_ids:
            missing = min(missing_ids)
            raise InvalidInput(
                f"DEAD has no event {missing[:80]!r}", field="ids", value=missing, limit="ids of refused events"
            )

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


def _index_of(refused: EventRefused) -> str:
    """Return the index an event was sent to, from its subject."""
    return refused.subject.partition(".")[2]
