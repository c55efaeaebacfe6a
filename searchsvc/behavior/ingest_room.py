"""Keeps room in INGEST, which refuses publishers when it is full.

What was handled is in BEHAVIOR or DEAD. It stays in INGEST too, to be looked at, until its age or the room for new
messages removes it.
"""

from __future__ import annotations

from typing import Final

from events.log import EventLog, Position
from events.streams import MIB, STREAMS, StreamSpec
from searchsvc.behavior.ingest import DURABLE

# Share of a limit past which what was handled is removed, and past which health warns.
REMOVE_SHARE: Final = 0.5
WARN_SHARE: Final = 0.8


async def make_room(event_log: EventLog, spec: StreamSpec = STREAMS["INGEST"]) -> str:
    """Remove what was handled, if INGEST takes more than half of its limits.

    Returns what is wrong: publishers are refused, or soon will be; '' if nothing is. Raises Unavailable.
    """
    position = await event_log.position("INGEST")
    if _used_share(position, spec) > REMOVE_SHARE:
        handled_seq = await event_log.acknowledged("INGEST", DURABLE)
        if handled_seq >= position.first_seq:
            await event_log.purge("INGEST", through=handled_seq)
            position = await event_log.position("INGEST")
    used_share = _used_share(position, spec)
    if used_share <= WARN_SHARE:
        return ""
    state = (
        f"INGEST holds {position.count} of {spec.max_messages} messages and {position.size_bytes / MIB:.0f} of "
        f"{spec.max_bytes / MIB:.0f} MiB, which this service has still to handle"
    )
    if spec.is_full(position.size_bytes, position.count):
        return f"{state}: it is full, and what is published on ingest.* is refused"
    return f"{state}: once it is full, what is published on ingest.* is refused"


def _used_share(position: Position, spec: StreamSpec) -> float:
    return max(position.size_bytes / spec.max_bytes, position.count / spec.max_messages)
