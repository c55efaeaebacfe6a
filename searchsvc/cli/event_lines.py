"""Print events of the log, each interaction with the ranking that it belongs to."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from events.codec import decode_behavior, decode_control, decode_dead
from events.log import Record
from events.types import (
    ChangePublished,
    ChangeRefused,
    DeadLettersDropped,
    EventRefused,
    EventReplayed,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    RankingShown,
)
from searchsvc.behavior.keyring import Keyring
from searchsvc.cli.output import print_json_line, say

MAX_RANKINGS: Final = 10_000
MAX_IDS: Final = 5
MAX_PAYLOAD_CHARS: Final = 200
# Shown in place of a query whose user was erased.
NO_KEY: Final = "[no key]"


class EventPrinter:
    """Printer of records that remembers the newest rankings.

    as_json: print one line of JSON per event.
    keyring: opens what users typed; None if the service has none.
    """

    def __init__(self, as_json: bool, keyring: Keyring | None) -> None:
        self._as_json = as_json
        self._keyring = keyring
        self._rankings: OrderedDict[str, RankingShown] = OrderedDict()

    def remember(self, record: Record) -> None:
        """Remember the rankings of a record without printing it."""
        if record.stream == "BEHAVIOR":
            for event in decode_behavior(record.data).events:
                if isinstance(event, RankingShown):
                    self._remember(self._open(event))

    def print(self, record: Record) -> None:
        """Print each event of a record."""
        for event in _decode(record):
            if isinstance(event, RankingShown):
                event = self._open(event)
                self._remember(event)
            if self._as_json:
                print_json_line(self._with_ranking(record, event))
            else:
                time = f"{record.timestamp:%H:%M:%S}.{record.timestamp.microsecond // 1000:03d}"
                say(f"{time} {record.stream:8} {describe_event(event, self._ranking_of(event))}")

    def _remember(self, ranking: RankingShown) -> None:
        self._rankings[ranking.id] = ranking
        if len(self._rankings) > MAX_RANKINGS:
            self._rankings.popitem(last=False)

    def _open(self, ranking: RankingShown) -> RankingShown:
        """Return a ranking with the query readable, if its user has a key."""
        if not ranking.sealed_query:
            return ranking
        user = self._keyring.by_pseudonym(ranking.user) if self._keyring is not None else None
        return msgspec.structs.replace(ranking, query=user.open(ranking.sealed_query) if user is not None else NO_KEY)

    def _ranking_of(self, event: msgspec.Struct) -> RankingShown | None:
        return self._rankings.get(event.query_id or "") if isinstance(event, InteractionRecorded) else None

    def _with_ranking(self, record: Record, event: msgspec.Struct) -> dict[str, object]:
        line: dict[str, object] = {
            "stream": record.stream,
            "seq": record.seq,
            "stored_at": record.timestamp,
            "event": event,
        }
        ranking = self._ranking_of(event)
        if ranking is not None and isinstance(event, InteractionRecorded):
            rank = _rank(ranking, event.document_id)
            line["ranking"] = {"query": ranking.query, "timestamp": ranking.timestamp, "rank": rank}
        return line


def describe_event(event: msgspec.Struct, ranking: RankingShown | None = None) -> str:
    """Return an event in one line.

    ranking: the one that an interaction belongs to; None if it is not known.
    """
    match event:
        case RankingShown():
            ids = " ".join(event.document_ids[:MAX_IDS]) + (" …" if len(event.document_ids) > MAX_IDS else "")
            degraded = f" degraded: {','.join(event.degraded)}" if event.degraded else ""
            return f"ranking      {event.index} {event.query!r} query_id={event.id} hits: {ids}{degraded}"
        case InteractionRecorded():
            if ranking is not None:
                origin = f"rank {_rank(ranking, event.document_id)} of {ranking.query!r}"
            else:
                origin = "its ranking is not known here" if event.query_id else "no query"
            subject = f"{event.index} document={event.document_id} {origin}"
            return f"{event.kind:12} {subject} query_id={event.query_id} via {event.source}"
        case ChangePublished():
            edits = "; ".join(edit.describe() for edit in event.edits)
            return f"change       {event.index} {edits} by {event.actor} {event.reason!r}"
        case IndexConfigured():
            return f"settings     {event.index} by {event.actor} {event.reason!r}"
        case ChangeRefused():
            return f"not allowed  {event.kind} of {event.index} by {event.actor}: {event.detail}"
        case IndexDeleted():
            return f"deleted      {event.index} by {event.actor} {event.reason!r}"
        case DeadLettersDropped():
            return f"removed      {event.n_dropped} dead letters so far, the oldest first, to make room"
        case EventReplayed():
            return f"sent again   {event.id} as {event.new_id}"
        case EventRefused():
            payload = event.payload[:MAX_PAYLOAD_CHARS]
            return f"refused      {event.subject} from {event.source}: {event.reason} | {payload}"
        case _:
            return repr(event)


def _decode(record: Record) -> list[msgspec.Struct]:
    if record.stream == "BEHAVIOR":
        return list(decode_behavior(record.data).events)
    return [decode_control(record.data) if record.stream == "CONTROL" else decode_dead(record.data)]


def _rank(ranking: RankingShown, document_id: str) -> int | None:
    ids = ranking.document_ids
    return ranking.first_rank + ids.index(document_id) if document_id in ids else None
