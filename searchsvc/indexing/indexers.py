"""One running indexer for every index that CONTROL has; started, rebuilt and ended as CONTROL changes."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec

from events.errors import LaterVersion, SearchsvcError, Unavailable
from events.index_control import IndexControl
from events.log import EventLog
from searchsvc.engines.protocol import Indexes
from searchsvc.indexing.indexer import RETRY_S, DocumentEncoder, Indexer
from searchsvc.indexing.rebuild import Compare, Rebuild, RebuildStatus, Why
from searchsvc.runtime.tasks import end
from searchsvc.state.serving import Serving

AGAIN_S: Final = 5.0

log = logging.getLogger(__name__)


class _Running(msgspec.Struct):
    """control: that it follows, or is on its way to. rebuild: the last one, under way or not."""

    indexer: Indexer
    task: asyncio.Task[None]
    control: IndexControl
    rebuild: RebuildStatus | None = None
    rebuilding: asyncio.Task[None] | None = None


class Indexers:
    """compare: holds an index that was built anew against the one before."""

    def __init__(
        self,
        indexes: Indexes,
        event_log: EventLog,
        serving: Serving,
        encoder: DocumentEncoder | None,
        compare: Compare,
    ) -> None:
        self._indexes = indexes
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._compare = compare
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="indexing")
        self._running: dict[str, _Running] = {}

    @property
    def failed(self) -> dict[str, str]:
        """Why indexes do not go on, by name."""
        return {name: one.indexer.trouble for name, one in self._running.items() if one.indexer.trouble}

    async def reconcile(self) -> None:
        """Bring the running indexers in line with the current CONTROL state."""
        wanted = self._serving.current.control.indexes
        for name, running in list(self._running.items()):
            now = wanted.get(name)
            if now is None or now.created_seq != running.control.created_seq:
                await self._stop(name, save=False)
            elif now.settings != running.control.settings:
                if name in self._serving.current.snapshots:
                    await self._change(running, now)
                else:
                    await self._stop(name, save=False)
        for name, control in wanted.items():
            if name not in self._running:
                storage = self._indexes.storage(control)
                indexer = Indexer(control, storage, self._log, self._serving, self._encoder, self._thread)
                task = asyncio.create_task(self._supervise(indexer), name=f"indexer {name}")
                self._running[name] = _Running(indexer, task, control)
        drop = partial(self._indexes.drop_others, list(wanted.values()))
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, drop)
        except SearchsvcError as error:
            # A cluster refuses it while it takes a snapshot, for instance.
            log.warning("what is left of indexes that are gone stays until the next change: %s", error)

    def rebuild(self, name: str, *, previous: bool = False, forced: bool = False) -> RebuildStatus:
        """Build an index anew beside, or go back to the one before the last; where that is under way already, how far
        it is. Raises NotFound, and Unavailable while it is built for the first time."""
        self._serving.current.control.index(name)
        running = self._running.get(name)
        if running is None or running.indexer.engine is None:
            raise Unavailable(f"index {name} is being built", retry_after_s=1.0)
        if running.rebuilding is not None and not running.rebuilding.done() and running.rebuild is not None:
            return running.rebuild
        return self._begin(running, "previous" if previous else "asked", forced=forced)

    def last_rebuild(self, name: str) -> RebuildStatus | None:
        """Of an index since the start: under way, done or failed."""
        running = self._running.get(name)
        return running.rebuild if running is not None else None

    async def close(self) -> None:
        for name in list(self._running):
            await self._stop(name, save=True)
        self._thread.shutdown()

    async def _change(self, running: _Running, now: IndexControl) -> None:
        """Other settings: what is searched, and written to, stays until an index of theirs is built."""
        if running.rebuilding is not None:
            await end([running.rebuilding])
        running.control = now
        if now.settings != running.indexer.control.settings:
            self._begin(running, "settings")

    def _begin(self, running: _Running, why: Why, *, forced: bool = False) -> RebuildStatus:
        control = running.control
        rebuild = Rebuild(
            running.indexer, control, self._indexes.storage(control), self._compare, why=why, forced=forced
        )
        running.rebuild = rebuild.status
        running.rebuilding = asyncio.create_task(self._rebuild(running, rebuild), name=f"rebuild {control.name}")
        return rebuild.status

    async def _rebuild(self, running: _Running, rebuild: Rebuild) -> None:
        try:
            await rebuild.run()
            return
        except SearchsvcError:
            pass  # it is said in the status
        except Exception:
            # What an engine can raise is open-ended.
            log.exception("index %s could not be built anew", rebuild.status.index)
        if rebuild.status.trigger == "settings":
            # These are in force: it is tried again until it is there.
            await asyncio.sleep(AGAIN_S)
            self._begin(running, "settings")

    async def _stop(self, name: str, *, save: bool) -> None:
        """save: what is written is wanted at the next start."""
        running = self._running.pop(name)
        await end([running.rebuilding] if running.rebuilding is not None else [])
        await end([running.task])
        try:
            await running.indexer.close(save=save)
        except Exception:
            # A full disk, for instance. The others have to be stopped and started all the same.
            log.exception("index %s could not be saved: at the next start it is read from the log", name)

    async def _supervise(self, indexer: Indexer) -> None:
        name, said = indexer.control.name, ""
        while True:
            try:
                await indexer.run()
            except* LaterVersion as group:
                indexer.trouble = str(group.exceptions[0])
                log.error("index %s goes no further: %s", name, group.exceptions[0])
                await indexer.show()
                await asyncio.Event().wait()
            except* Unavailable as group:
                indexer.trouble = reason = str(group.exceptions[0])
                if reason != said:
                    log.warning("index %s waits: %s", name, reason)
                said = reason
            except* Exception as group:
                # What an engine can raise is open-ended; the index is named as failed and serves what it had.
                indexer.trouble = str(group.exceptions[0])
                log.exception("index %s failed; it is opened again", name)
            # An engine that raised may hold half of a batch: it is built again from the last good snapshot and the log.
            await indexer.close(save=False)
            await asyncio.sleep(RETRY_S)
