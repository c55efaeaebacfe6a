"""`events tail`: what is happening, as it is stored, with each interaction joined to its ranking."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import rich_click as click

from events.codec import decode_behavior, decode_control, decode_dead
from events.log import EventLog, Record
from events.streams import StreamName
from events.types import (
    BehaviorEvent,
    ChangePublished,
    ChangeRefused,
    EventRefused,
    EventReplayed,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    RankingShown,
)
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.cli.client import json_option
from searchsvc.cli.dead import dead, replay
from searchsvc.cli.log import connect_as_reader, export, import_, load_log_config, log_options
from searchsvc.cli.repair import repair
from searchsvc.cli.verify import verify

TAILED: tuple[StreamName, ...] = ("CONTROL", "BEHAVIOR", "DEAD")
REMEMBERED = 10_000
LOOK_BACK = 2_000
ERASED = "[no key]"


@click.group()
def events() -> None:
    """Look into the log, check it, move it."""


for command in (verify, export, import_, repair, dead, replay):
    events.add_command(command)


@events.command()
@log_options
@click.option("-n", "--last", default=10, show_default=True, help="Messages of each stream to start with.")
@click.option("--follow/--no-follow", "-f", default=True, help="Whether to wait for more.  [default: follow]")
@click.option("--stream", type=click.Choice(TAILED), multiple=True, help="Only this stream; may be repeated.")
@json_option
def tail(
    data_dir: str | None,
    config_file: Path | None,
    last: int,
    follow: bool,
    stream: tuple[StreamName, ...],
    as_json: bool,
) -> None:
    """Print events as they are stored. Interactions name the query and rank they belong to."""
    config = load_log_config(config_file, data_dir)
    keys = config.data_path / KEYRING_NAME
    tailing = _Tail(as_json, Keyring(keys) if keys.exists() else None)

    async def run() -> None:
        event_log = await connect_as_reader(config)
        try:
            async for record in _merged(event_log, stream or TAILED, last, follow, tailing):
                tailing.show(record)
        finally:
            await event_log.close()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return


async def _merged(
    event_log: EventLog, streams: tuple[StreamName, ...], last: int, follow: bool, tailing: _Tail
) -> AsyncIterator[Record]:
    """The end of each stream in order of time, then all of them as they grow."""
    recent: list[Record] = []
    positions: dict[StreamName, int] = {}
    for name in streams:
        position = await event_log.position(name)
        positions[name] = position.last_seq
        if position.count:
            back = max(last, LOOK_BACK) if name == "BEHAVIOR" else last
            read = [r async for r in event_log.read(name, after=max(position.last_seq - back, 0))]
            for record in read[: len(read) - last] if last else read:
                tailing.learn(record)
            recent += read[-last:] if last else []
    for record in sorted(recent, key=lambda r: r.timestamp):
        yield record
    if not follow:
        return
    queue: asyncio.Queue[Record] = asyncio.Queue(1000)

    async def pump(name: StreamName) -> None:
        async for record in event_log.follow(name, after=positions[name]):
            await queue.put(record)

    async with asyncio.TaskGroup() as tasks:
        for name in streams:
            tasks.create_task(pump(name))
        while True:
            yield await queue.get()


class _Tail:
    """Remembers rankings, to say what an interaction belongs to. keyring: opens what users typed."""

    def __init__(self, as_json: bool, keyring: Keyring | None) -> None:
        self._as_json = as_json
        self._rankings: OrderedDict[str, RankingShown] = OrderedDict()
        self._keyring = keyring

    def learn(self, record: Record) -> None:
        if record.stream == "BEHAVIOR":
            for event in decode_behavior(record.data).events:
                self._remember(event)

    def show(self, record: Record) -> None:
        events: list[msgspec.Struct]
        if record.stream == "BEHAVIOR":
            events = list(decode_behavior(record.data).events)
        elif record.stream == "CONTROL":
            events = [decode_control(record.data)]
        else:
            events = [decode_dead(record.data)]
        for event in events:
            if isinstance(event, RankingShown | InteractionRecorded):
                self._remember(event)
            if isinstance(event, RankingShown):
                event = self._opened(event)
            if self._as_json:
                click.echo(msgspec.json.encode(self._joined(record, event)))
            else:
                click.echo(
                    f"{record.timestamp:%H:%M:%S}.{record.timestamp.microsecond // 1000:03d} "
                    f"{record.stream:8} {self._line(event)}"
                )

    def _remember(self, event: BehaviorEvent) -> None:
        if isinstance(event, RankingShown):
            self._rankings[event.id] = self._opened(event)
            if len(self._rankings) > REMEMBERED:
                self._rankings.popitem(last=False)

    def _opened(self, ranking: RankingShown) -> RankingShown:
        """With what was typed, where its user's key is there."""
        if not ranking.sealed_query:
            return ranking
        user = self._keyring.by_pseudonym(ranking.user) if self._keyring is not None else None
        query = user.open(ranking.sealed_query) if user is not None else ERASED
        return msgspec.structs.replace(ranking, query=query)

    def _joined(self, record: Record, event: msgspec.Struct) -> dict[str, object]:
        said: dict[str, object] = {
            "stream": record.stream,
            "seq": record.seq,
            "stored_at": record.timestamp,
            "event": event,
        }
        ranking = self._ranking_of(event)
        if ranking is not None and isinstance(event, InteractionRecorded):
            said["ranking"] = {
                "query": ranking.query,
                "timestamp": ranking.timestamp,
                "rank": _rank(ranking, event.document_id),
            }
        return said

    def _ranking_of(self, event: msgspec.Struct) -> RankingShown | None:
        return self._rankings.get(event.query_id or "") if isinstance(event, InteractionRecorded) else None

    def _line(self, event: msgspec.Struct) -> str:
        match event:
            case RankingShown():
                shown = " ".join(event.document_ids[:5]) + (" …" if len(event.document_ids) > 5 else "")
                missing = f" degraded: {','.join(event.degraded)}" if event.degraded else ""
                return f"ranking      {event.index} {event.query!r} query_id={event.id} hits: {shown}{missing}"
            case InteractionRecorded():
                ranking = self._ranking_of(event)
                if ranking is not None:
                    belongs = f"rank {_rank(ranking, event.document_id)} of {ranking.query!r}"
                else:
                    belongs = "its ranking is not known here" if event.query_id else "no query"
                named = f"{event.index} document={event.document_id} {belongs}"
                return f"{event.kind:12} {named} query_id={event.query_id} via {event.source}"
            case ChangePublished():
                edits = "; ".join(edit.describe() for edit in event.edits)
                return f"change       {event.index} {edits} by {event.actor} {event.reason!r}"
            case IndexConfigured():
                return f"settings     {event.index} by {event.actor} {event.reason!r}"
            case ChangeRefused():
                said = f"{event.kind} of {event.index} by {event.actor}: {event.detail}"
                return f"not allowed  {said}"
            case IndexDeleted():
                return f"deleted      {event.index} by {event.actor} {event.reason!r}"
            case EventReplayed():
                return f"sent again   {event.id} as {event.new_id}"
            case EventRefused():
                return f"refused      {event.subject} from {event.source}: {event.reason} | {event.payload[:200]}"
            case _:
                return repr(event)


def _rank(ranking: RankingShown, document_id: str) -> int | None:
    ids = ranking.document_ids
    return ranking.first_rank + ids.index(document_id) if document_id in ids else None
