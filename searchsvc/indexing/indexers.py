"""One running indexer for every index in CONTROL. They are started, rebuilt and ended as CONTROL changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from events.errors import LaterVersion, SearchsvcError, Unavailable
from events.index_control import IndexControl
from events.log import EventLog
from events.tasks import end
from searchsvc.engines.protocol import Indexes
from searchsvc.indexing.encoder import DocumentEncoder
from searchsvc.indexing.indexer import RETRY_S, Indexer
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.indexing.rebuild import CompareSnapshots, Rebuild, RebuildStatus, Trigger
from searchsvc.state.serving import Serving

REBUILD_RETRY_S: Final = 5.0

log = logging.getLogger(__name__)


class _RunningIndexer(msgspec.Struct):
    """An indexer and its tasks.

    control: the index as it is, or as it will be once a rebuild is done.
    rebuild: status of the last rebuild; None if there was none.
    rebuild_task: the last rebuild, running or done.
    """

    indexer: Indexer
    task: asyncio.Task[None]
    control: IndexControl
    rebuild: RebuildStatus | None = None
    rebuild_task: asyncio.Task[None] | None = None


class Indexers:
    """The indexers of a service.

    encoder: None if documents get no vectors.
    measurement_files: where the measurements of indexes are stored.
    compare: compares a rebuilt index with the one it replaces.
    current_step: what `reconcile` does now; '' while nothing is to be done
    n_steps: how often `current_step` has changed
    """

    def __init__(
        self,
        indexes: Indexes,
        event_log: EventLog,
        serving: Serving,
        encoder: DocumentEncoder | None,
        measurement_files: MeasurementFiles,
        compare: CompareSnapshots,
    ) -> None:
        self._indexes = indexes
        self._log = event_log
        self._serving = serving
        self._encoder = encoder
        self._measurement_files = measurement_files
        self._compare = compare
        # Deletes what indexes leave behind.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index-storage")
        self._running: dict[str, _RunningIndexer] = {}
        self.current_step = ""
        self.n_steps = 0

    @property
    def names(self) -> list[str]:
        """The names of the indexes that have an indexer."""
        return list(self._running)

    @property
    def failed(self) -> dict[str, str]:
        """The names of indexes that do not go on, each with the reason."""
        return {name: running.indexer.failure for name, running in self._running.items() if running.indexer.failure}

    async def reconcile(self) -> None:
        """Start, rebuild and end indexers, so that they match the current CONTROL state."""
        controls = self._serving.current.control.indexes
        try:
            await self._follow_changes(controls)
            for name, control in controls.items():
                if name not in self._running:
                    self._start(control)
            self._begin_step("deleting what indexes left behind")
            in_use = list(controls.values())
            for leftovers in (self._measurement_files, self._indexes):
                await asyncio.get_running_loop().run_in_executor(self._thread, leftovers.drop_others, in_use)
        except SearchsvcError as error:
            # A cluster refuses it while it takes a snapshot, for instance.
            log.warning("the stored indexes that are not in use remain until the next change: %s", error)
        finally:
            self._begin_step("")

    def indexer(self, name: str) -> Indexer | None:
        """Return the running indexer of an index, or None."""
        running = self._running.get(name)
        return running.indexer if running is not None else None

    def progress(self, name: str) -> object:
        """Return a value that changes while documents of an index are written, or those of any index are encoded."""
        running = self._running.get(name)
        if running is None or running.indexer.engine is None:
            return None
        n_texts = self._encoder.n_texts if self._encoder is not None else 0
        return running.indexer.n_opened, running.indexer.engine.snapshot().catalog_seq, n_texts

    def is_busy(self, name: str) -> bool:
        """Return whether the thread of an index works."""
        running = self._running.get(name)
        return running is not None and running.indexer.is_on_thread

    async def restart(self, name: str) -> None:
        """Open an index again and go on from what it holds."""
        running = self._running.get(name)
        if running is not None:
            await end([running.task])
            await running.indexer.close(save=False)
            if self._running.get(name) is not running:
                return  # the index was deleted meanwhile
            running.task = asyncio.create_task(self._supervise(running.indexer), name=f"indexer {name}")

    def rebuild(self, name: str, *, previous: bool = False, force: bool = False) -> RebuildStatus:
        """Start to rebuild an index beside the one in use; return the status, also of a rebuild that is running.

        previous: go back to the index that was in use before the current one.
        force: replace the index even if the comparison finds other hits.
        Raises NotFound, and Unavailable while the index is built for the first time.
        """
        self._serving.current.control.index(name)
        running = self._running.get(name)
        if running is None or running.indexer.engine is None:
            raise Unavailable(f"index {name} is being built", retry_after_s=1.0)
        if running.rebuild_task is not None and not running.rebuild_task.done() and running.rebuild is not None:
            return running.rebuild
        return self._start_rebuild(running, "previous" if previous else "request", force=force)

    def last_rebuild(self, name: str) -> RebuildStatus | None:
        """Return the status of the last rebuild of an index; None if there was none since the start."""
        running = self._running.get(name)
        return running.rebuild if running is not None else None

    async def close(self) -> None:
        """End all indexers and save their indexes."""
        for name in list(self._running):
            await self._stop(name, save=True)
        self._thread.shutdown()

    async def _follow_changes(self, controls: Mapping[str, IndexControl]) -> None:
        """Stop the indexers of indexes that are gone, and rebuild those whose settings changed."""
        for name, running in list(self._running.items()):
            self._begin_step(f"following the change of index {name}")
            control = controls.get(name)
            if control is None or control.created_seq != running.control.created_seq:
                await self._stop(name, save=False)
            elif control.settings.indexed != running.control.settings.indexed:
                if name in self._serving.current.snapshots:
                    await self._change_settings(running, control)
                else:
                    await self._stop(name, save=False)

    def _begin_step(self, step: str) -> None:
        self.current_step = step
        self.n_steps += 1

    def _start(self, control: IndexControl) -> None:
        storage = self._indexes.storage(control)
        indexer = Indexer(control, storage, self._log, self._serving, self._encoder, self._measurement_files)
        task = asyncio.create_task(self._supervise(indexer), name=f"indexer {control.name}")
        self._running[control.name] = _RunningIndexer(indexer, task, control)

    async def _change_settings(self, running: _RunningIndexer, control: IndexControl) -> None:
        """Rebuild an index with other settings; until it is done the current one is searched and written."""
        if running.rebuild_task is not None:
            await end([running.rebuild_task])
        running.control = control
        if control.settings.indexed != running.indexer.control.settings.indexed:
            self._start_rebuild(running, "settings")

    def _start_rebuild(self, running: _RunningIndexer, trigger: Trigger, *, force: bool = False) -> RebuildStatus:
        control = running.control
        storage = self._indexes.storage(control)
        rebuild = Rebuild(running.indexer, control, storage, self._compare, trigger=trigger, force=force)
        running.rebuild = rebuild.status
        running.rebuild_task = asyncio.create_task(self._run_rebuild(running, rebuild), name=f"rebuild {control.name}")
        return rebuild.status

    async def _run_rebuild(self, running: _RunningIndexer, rebuild: Rebuild) -> None:
        try:
            await rebuild.run()
            return
        except SearchsvcError:
            pass  # the status has it
        except Exception:
            # An engine may raise anything.
            log.exception("index %s could not be rebuilt", rebuild.status.index)
        if rebuild.status.trigger == "settings":
            # The settings are in force already, so it is retried until it succeeds.
            await asyncio.sleep(REBUILD_RETRY_S)
            self._start_rebuild(running, "settings")

    async def _stop(self, name: str, *, save: bool) -> None:
        """End an indexer and its rebuild.

        save: save its index, for the next start.
        """
        running = self._running.pop(name)
        await end([running.rebuild_task] if running.rebuild_task is not None else [])
        await end([running.task])
        try:
            await running.indexer.close(save=save)
        except Exception:
            # An engine may raise anything. The other indexes must be stopped and started all the same.
            log.exception("index %s could not be saved; the next start reads it from the log", name)
        running.indexer.end_thread()

    async def _supervise(self, indexer: Indexer) -> None:
        """Run an indexer, and open its index again after each error."""
        name, last_reason = indexer.control.name, ""
        while True:
            try:
                await indexer.run()
            except LaterVersion as error:
                log.error("index %s stops: %s", name, error)
                await indexer.serve_snapshot()
                # Last: the start is over once each index is served or has failed.
                indexer.failure = str(error)
                await asyncio.Event().wait()
            except Unavailable as error:
                indexer.failure = reason = str(error)
                if reason != last_reason:
                    log.warning("index %s waits: %s", name, reason)
                last_reason = reason
            except Exception as error:
                # An engine may raise anything. The index is reported as failed and serves its last snapshot.
                indexer.failure = str(error) or type(error).__name__
                log.exception("index %s failed; opening it again", name)
            # After an error a batch may be half written: start again from the last good snapshot and the log.
            await indexer.close(save=False)
            await asyncio.sleep(RETRY_S)
