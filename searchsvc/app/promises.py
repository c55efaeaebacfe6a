"""What each part of a running service promises: see `searchsvc.app.watchdog`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from events.log import EventLog
from events.streams import StreamName, catalog_filter
from searchsvc.app.background import BackgroundTasks
from searchsvc.app.watchdog import Promise
from searchsvc.behavior.ingest import DURABLE, IngestConsumer
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.indexing.indexers import Indexers

Restart = Callable[[], Awaitable[None]]

INDEXERS: Final = "indexers"


def follower_promise(
    background: BackgroundTasks, event_log: EventLog, part: str, stream: StreamName, seq: Callable[[], int]
) -> Promise:
    """Return the promise of a background part that follows a stream.

    seq: gives the last sequence that the part has applied
    """

    async def backlog() -> str:
        if not background.runs(part):
            return ""  # health says why
        stream_state = await event_log.stream_state(stream)
        applied = seq()
        is_behind = stream_state.count and stream_state.last_seq > applied
        return f"{stream} ends at {stream_state.last_seq}, and {applied} is applied" if is_behind else ""

    return Promise(part, backlog, seq, partial(background.restart, part))


def ingest_promise(background: BackgroundTasks, event_log: EventLog, ingest: IngestConsumer) -> Promise:
    """Return the promise to handle what was published on `ingest.*`."""

    async def backlog() -> str:
        n_waiting = await event_log.n_waiting("INGEST", DURABLE)
        return f"{n_waiting} messages of INGEST wait" if n_waiting else ""

    return Promise("ingest", backlog, lambda: ingest.n_handled, partial(background.restart, "ingest"))


def writer_promise(writer: BehaviorWriter) -> Promise:
    """Return the promise to write what was accepted."""

    async def backlog() -> str:
        n_waiting = writer.n_waiting
        return f"{n_waiting} rankings and events wait to be written" if n_waiting else ""

    return Promise("behavior writer", backlog, lambda: writer.counts.written + writer.counts.shed)


class IndexerPromises:
    """The promises of the indexers: each one's, and that they are started and ended."""

    def __init__(self, event_log: EventLog, indexers: Indexers) -> None:
        self._log = event_log
        self._indexers = indexers
        # By name and creation of an index: where CATALOG ended when it was last asked for the newest document, and the
        # sequence of that.
        self._newest: dict[tuple[str, int], tuple[int, int]] = {}

    def __call__(self) -> list[Promise]:
        """Return those that hold now."""
        indexers = self._indexers
        names = set(indexers.names)
        self._newest = {key: newest for key, newest in self._newest.items() if key[0] in names}
        reconciling = Promise(INDEXERS, self._waiting_change, lambda: indexers.n_steps)
        return [reconciling, *map(self._of_index, indexers.names)]

    async def _waiting_change(self) -> str:
        return self._indexers.current_step

    def _of_index(self, name: str) -> Promise:
        indexers = self._indexers
        return Promise(
            f"index {name}",
            partial(self._backlog, name),
            lambda: indexers.progress(name),
            partial(indexers.restart, name),
            lambda: indexers.is_busy(name),
        )

    async def _backlog(self, name: str) -> str:
        indexer = self._indexers.indexer(name)
        if indexer is None or indexer.failure or indexer.engine is None:
            return ""
        end = (await self._log.stream_state("CATALOG")).last_seq
        control = indexer.control
        key = control.name, control.created_seq
        asked_at, newest = self._newest.get(key, (-1, 0))
        if asked_at != end:
            newest = await self._log.last_seq("CATALOG", catalog_filter(*key))
            self._newest[key] = end, newest
        if indexer.engine is None:
            return ""
        applied = indexer.engine.snapshot().catalog_seq
        return f"its newest document is {newest} of CATALOG, and {applied} is applied" if newest > applied else ""
