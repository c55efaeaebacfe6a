"""One running service: start and stop.

Start: the data folder's format -> CONTROL from its copy -> the log is reached, and the model loaded meanwhile ->
CONTROL from the log -> indexes, behavior, serving. If the log does not come up in time, what is on disk is served, and
the log joins later. Stop is the reverse: see `searchsvc.app.wiring`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from events import data_folder
from events.errors import Corrupt
from searchsvc.app import clock_guard, upkeep
from searchsvc.app.background import BackgroundTasks
from searchsvc.app.behavior_parts import BehaviorParts, open_behavior, open_keyring, open_learners, start_writing
from searchsvc.app.change_parts import ChangeParts, open_changes
from searchsvc.app.health import HealthCheck, HealthNotes
from searchsvc.app.log_connection import LogConnection
from searchsvc.app.log_parts import LogParts, open_log
from searchsvc.app.log_watch import LogWatch
from searchsvc.app.model import load_model
from searchsvc.app.promises import INDEXERS, IndexerPromises, follower_promise, ingest_promise, writer_promise
from searchsvc.app.repair import INTERRUPTED_REPAIR
from searchsvc.app.search_parts import open_indexers, open_node, open_search
from searchsvc.app.shutdown import Shutdown
from searchsvc.app.watchdog import Watchdog
from searchsvc.app.wiring import open_services
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.changes.scheduler import Scheduler
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.leftovers import Leftovers
from searchsvc.runtime.config import Config
from searchsvc.service.services import Services
from searchsvc.state.signals_follower import SignalsFollower
from tuning import compiled


class App:
    """A service on one data folder. `start` it on the event loop that serves it; `stop` ends all that it started.

    services: what the API calls; there once the service is started
    health: describes how the service is; there once the service is started
    """

    services: Services
    health: HealthCheck

    def __init__(self, config: Config) -> None:
        self._config = config
        self._notes = HealthNotes()
        self._background = BackgroundTasks(self._notes)
        self._shutdown = Shutdown()

    async def start(self) -> None:
        """Start every part. If one fails, end those that were started.

        Raises Unavailable, Corrupt or InvalidInput if the service cannot run.
        """
        # A start allocates much and frees little: collecting garbage meanwhile would only slow it down.
        gc.disable()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    def drain(self) -> None:
        """Report on /health/ready that the service takes no more requests."""
        self._notes.status = "draining"

    async def stop(self) -> None:
        """Finish what was accepted, save, and end every part, the log's server last. Safe after a failed start."""
        self.drain()
        gc.enable()
        await self._background.end()
        await self._shutdown.run()

    async def _start(self) -> None:
        config, shutdown, notes = self._config, self._shutdown, self._notes
        data = config.data_path
        data_folder.prepare(data)
        # Before anything acts on it.
        clock_guard.require_plausible(data, datetime.now(UTC), accept=config.accept_clock)
        if (data / INTERRUPTED_REPAIR).exists():
            raise Corrupt(f"a repair of {data} was interrupted: run `searchsvc events repair` again to continue it")
        log = open_log(config, shutdown)
        await log.control.serve_copy()
        connection = LogConnection(config.nats, log.event_log, log.nats, log.control, self._background, notes)
        loop = asyncio.get_running_loop()
        compiling = loop.run_in_executor(None, compiled.warm_up, "searchsvc")
        model = await asyncio.to_thread(load_model, config, notes)
        embedder, encoder = model if model is not None else (None, None)
        await compiling
        await connection.wait(log.copy.seq)
        node = open_node(config, shutdown)
        keyring = await open_keyring(config, notes, shutdown)
        behavior_state = BehaviorState(
            n_rankings=config.behavior.known_rankings, n_events=config.behavior.stored_events, reader=keyring
        )
        search = open_search(config, log, node, embedder, shutdown)
        indexers = open_indexers(config, log, search, behavior_state, encoder, shutdown)
        changes = open_changes(log, search)
        learners = open_learners(config, log, search, changes, keyring, shutdown)
        behavior = await open_behavior(config, log, behavior_state, keyring, learners)
        await indexers.reconcile()
        watch = LogWatch(log.event_log, data, behavior.follower.caught_up)
        start_writing(behavior, watch, shutdown)
        self.services = open_services(config, log, search, changes, behavior, indexers, keyring, shutdown)
        self.health = HealthCheck(
            notes, log.serving, indexers, log.event_log, node, behavior.writer, behavior_state.rankings, watch
        )
        states: list[upkeep.PerIndexState] = [search.searcher, behavior_state.query_counts, self.services.documents]
        states += [learners] if learners is not None else []
        self._follow(connection, log, changes, behavior, indexers, states)
        self._keep_up(connection, log, behavior, indexers, keyring, watch)

    def _follow(
        self,
        connection: LogConnection,
        log: LogParts,
        changes: ChangeParts,
        behavior: BehaviorParts,
        indexers: Indexers,
        states: Sequence[upkeep.PerIndexState],
    ) -> None:
        """Start what follows the streams of the log, and what watches that it does."""
        run, learners = self._background.run, behavior.learners

        def once_reached(part: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
            async def wait_and_run() -> None:
                # Shielded: the part may be ended and started again, the connection is made once.
                await asyncio.shield(connection.reached)
                await part()

            return wait_and_run

        republish = learners.republish if learners is not None else None
        signals = SignalsFollower(log.event_log, log.serving, republish)
        scheduler = Scheduler(log.event_log, changes.drafts)
        run(once_reached(log.control.run), "control")
        run(partial(upkeep.reconcile_indexers, log.control, log.serving, indexers, states), INDEXERS)
        run(behavior.follower.run, "behavior")
        if behavior.worker is not None:
            run(behavior.worker.run, "worker")
        if learners is not None:
            run(once_reached(partial(learners.run, behavior.follower.caught_up)), "learners")
        run(once_reached(signals.run), "signals")
        run(once_reached(behavior.ingest.run), "ingest")
        run(once_reached(scheduler.run), "scheduler")
        run(once_reached(Leftovers(log.event_log).run), "leftovers of deleted indexes")

        follower = partial(follower_promise, self._background, log.event_log)
        promises = [
            follower("control", "CONTROL", lambda: log.serving.current.control.seq),
            follower("behavior", "BEHAVIOR", lambda: behavior.state.seq),
            follower("signals", "SIGNALS", lambda: signals.seq),
            follower("scheduler", "DRAFTS", lambda: scheduler.seq),
            ingest_promise(self._background, log.event_log, behavior.ingest),
            writer_promise(behavior.writer),
        ]
        of_indexers = IndexerPromises(log.event_log, indexers)
        run(Watchdog(self._notes, lambda: [*promises, *of_indexers()]).run, "watchdog")

    def _keep_up(
        self,
        connection: LogConnection,
        log: LogParts,
        behavior: BehaviorParts,
        indexers: Indexers,
        keyring: Keyring,
        watch: LogWatch,
    ) -> None:
        """Start what looks after the service."""
        run, notes, caught_up = self._background.run, self._notes, behavior.follower.caught_up
        run(watch.run, "log watch")
        run(partial(upkeep.watch_room, log.disk, log.memory, log.nats, notes), "room watch")
        run(partial(upkeep.watch_streams, log.event_log, behavior.dead, notes), "stream watch")
        run(partial(upkeep.watch_clock, self._config.data_path, keyring, notes), "clock watch")
        ready = partial(upkeep.announce_ready, notes, log.serving, indexers, caught_up, connection.without_log)
        run(ready, "ready")
