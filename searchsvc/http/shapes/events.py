"""Events: those recorded, those refused; and erasure."""

from __future__ import annotations

import msgspec

from searchsvc.behavior.dead_letters import DeadLetter
from searchsvc.behavior.intake import RefusedEvent


class EventsAccepted(msgspec.Struct, frozen=True):
    """Events that are stored on disk.

    ids: one for each event that was taken, in order
    refused: events that were not, with on_error `skip`
    """

    accepted: int
    ids: list[str]
    refused: list[RefusedEvent] = []


class DeadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to list.

    index: only events of this index; '' for all
    key: only events of this ranking; '' for all
    after: only dead letters past this sequence
    limit: number of dead letters, at most; a page may hold fewer and have a next one
    """

    index: str = ""
    key: str = ""
    after: int = 0
    limit: int = 100


class DeadList(msgspec.Struct, frozen=True):
    """Dead letters, oldest first.

    next_after: `after` of the next page; null if this is the last one
    n_dropped: dead letters of all indexes that were removed, the oldest first, because all of them took too much
    """

    dead: list[DeadLetter]
    next_after: int | None = None
    n_dropped: int = 0


class ReplayInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to send again.

    ids: of refused events; empty for all of `index` and `key`
    index: only events of this index; '' for all
    key: only events of this ranking; '' for all
    after: only events past this sequence
    """

    ids: list[str] = []
    index: str = ""
    key: str = ""
    after: int = 0


class ErasureInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user to erase.

    user_token: as the website sends it with searches and events
    """

    user_token: str


class Erased(msgspec.Struct, frozen=True):
    """An erasure.

    n_keys: number of the user's keys that were destroyed; 0 if the user was not known
    """

    n_keys: int
