"""Keeps room in INGEST, which refuses publishers when it is full.

What was handled is in BEHAVIOR or DEAD. It stays in INGEST too, to be looked at, until its age or the room for new
messages removes it.
"""

from __future__ import annotations

from typing import Final

from events.log import EventLog, StreamState
from events.sizes import MIB
from events.streams import STREAMS, StreamSpec
from searchsvc.behavior.ingest import DURABLE

# Share of a limit past which what was handled is removed, and past which health warns.
REMOVE_SHARE: Final = 0.5
WARN_SHARE: Final = 0.8


async def make_room(event_log: EventLog, spec: StreamSpec = STREAMS["INGEST"]) -> str:
    """Remove what was handled, if INGEST takes more than half of its limits.

    Returns what is wrong: publishers are refused, or soon will be; '' if nothing is. Raises Unavailable.
    """
    stream_state = await event_log.stream_state("INGEST")
    if _used_share(stream_state, spec) > REMOVE_SHARE:
        handled_seq = await event_log.acknowledged("INGEST", DURABLE)
        if handled_seq >= stream_state.first_seq:
            await event_log.purge("INGEST", through=handled_seq)
            stream_state = await event_log.stream_state("INGEST")
    used_share = _used_share(stream_state, spec)
    if used_share <= WARN_SHARE:
        return ""
    state = (
        f"INGEST holds {stream_state.count} of {spec.max_messages} messages and {stream_state.size_bytes / MIB:.0f} of "
        f"{spec.max_bytes / MIB:.0f} MiB, which this service has still to handle"
    )
    if spec.is_full(stream_state.size_bytes, stream_state.count):
        return f"{state}: it is full, and what is published on ingest.* is refused"
    return f"{state}: once it is full, what is published on ingest.* is refused"


def _used_share(stream_state: StreamState, spec: StreamSpec) -> float:
    return max(stream_state.size_bytes / spec.max_bytes, stream_state.count / spec.max_messages)
