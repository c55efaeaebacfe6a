"""The composition root: the only place that names adapters and starts or stops anything.

Start: lock -> CONTROL from its copy -> the log is reached, and the model loaded meanwhile -> CONTROL from the log ->
indexes, behaviour, serving. Where the log does not come up in time, what is on disk is served, and the log joins later.
Stop is the reverse; the log's server, which all else writes to, goes last.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from events import control, server
from events.chain import GENESIS, link
from events.copy import COPY_NAME, ControlCopy
from events.errors import Corrupt, InvalidInput, LaterVersion, Unavailable
from events.history import ControlHistory
from events.jetstream import JetStreamEventLog
from searchsvc import __version__
from searchsvc.app.log_watch import LogWatch
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.ingest import IngestConsumer
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker
from searchsvc.behavior.writer import BehaviorWriter, OutboxCounts
from searchsvc.changes.audit import Audit
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.changes.scheduler import Scheduler
from searchsvc.embedding.cache import VectorCache
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.engines.embedded.indexes import EmbeddedIndexes
from searchsvc.engines.protocol import Indexes
from searchsvc.indexing.indexer import DocumentEncoder
from searchsvc.indexing.indexers import Indexers
from searchsvc.learning.learners import Learners
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.rehearsal.receipts import Receipts
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.rehearsal.what_if import WhatIfs
from searchsvc.runtime.batches import Batches
from searchsvc.runtime.config import Config
from searchsvc.runtime.disk import DiskGuard
from searchsvc.runtime.tasks import end
from searchsvc.search.last_known import LastKnown
from searchsvc.search.searcher import Searcher
from searchsvc.service.service import Service
from searchsvc.state.factors import FactorsFollower
from searchsvc.state.serving import Serving
from tuning import compiled
from tuning.clicks.join import ClickthroughJoin

if TYPE_CHECKING:
    from searchsvc.engines.opensearch.node import Node

DISK_LOOK_EVERY_S = 0.5
INTERRUPTED_REPAIR = "repairing"
# With something on disk to serve, a start waits no longer than this for the log.
ALONE_AFTER_S = 1.0
HOPELESS_AFTER_S = 25.0
RETRY_S = 0.25
READY_CHECK_S = 0.02
FORGET_EVERY_S = 86_400.0
DRAIN_S = 3.0
CHECKPOINT_TIMEOUT_S = 0.5
# Rankings that the worker holds whole; an interaction with an older one has it read from the log again.
N_WHOLE_RANKINGS = 10_000

log = logging.getLogger(__name__)


class Health(msgspec.Struct, frozen=True):
    """status: starting, ready, degraded, draining or corrupt. reasons: why it is not plain ready.

    log_read_at: when all of the log had been read since the start, and nothing was missing; null before.
    """

    status: str
    reasons: list[str]
    version: str
    applied_seq: int
    indexes: dict[str, str]
    outbox: OutboxCounts
    known_rankings: int
    started_at: datetime
    log_read_at: datetime | None


class App:
    """A service on one data folder. `start` it on the event loop that serves it; `stop` ends all it started."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started_at = datetime.now(UTC)
        self._began = time.monotonic()
        self.serving = Serving()
        self.status = "starting"
        self.reasons: dict[str, str] = {}
        self._structure_changed = asyncio.Event()
        self._alone = asyncio.Event()
        self._child_up = asyncio.Event()
        self._nats: server.NatsServer | None = None
        self._node: Node | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # Searches of a cluster wait for it most of the time.
        at_once = config.opensearch.connections if config.opensearch.url else config.search.concurrency
        self._searches = ThreadPoolExecutor(at_once, thread_name_prefix="search")
        self._late_searches = ThreadPoolExecutor(1, thread_name_prefix="late search")
        self._log = JetStreamEventLog()
        self._copy: ControlCopy
        self.history: ControlHistory
        self.audit: Audit
        self._writing: asyncio.Task[None]
        self._writer: BehaviorWriter
        self._follower: BehaviorFollower
        self._watch: LogWatch
        self._keyring: Keyring
        self.indexers: Indexers
        # Where this service runs the worker.
        self.learners: Learners | None = None
        self.service: Service

    async def start(self) -> None:
        """Raises Unavailable or Corrupt where the service cannot run, having ended whatever it had started."""
        # A start makes much and drops little: collecting garbage meanwhile would only slow it down.
        gc.disable()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        config = self.config
        data = config.data_path
        data.mkdir(parents=True, exist_ok=True)
        if (data / INTERRUPTED_REPAIR).exists():
            raise Corrupt(f"a repair of {data} was interrupted: run `searchsvc events repair` again, it goes on there")
        if not config.nats.url:
            self._nats = server.NatsServer(data, port=config.nats.port, ingest_password=config.nats.ingest_password)
        disk = DiskGuard(
            data,
            warn_share=config.disk.warn_share,
            stop_share=config.disk.stop_share,
            enough_bytes=config.disk.enough_mb * 1_000_000,
        )
        self._log.before_append = disk.require
        self._copy = ControlCopy(data / COPY_NAME)
        self.history = ControlHistory(self._copy)
        self.audit = Audit(self.history)
        await self.serving.set_control(self._copy.state)
        reaching = asyncio.create_task(self._reach_log(), name="reach log")
        self._tasks.append(reaching)
        loop = asyncio.get_running_loop()
        compiling = loop.run_in_executor(None, compiled.warm_up, "searchsvc")
        embedder, encoder = await loop.run_in_executor(None, self._load_model)
        await compiling
        await self._reached_in_time(reaching)
        memory = BehaviorState(n_rankings=config.behavior.known_rankings, n_events=config.behavior.stored_events)
        rankings = memory.rankings
        self._keyring = await loop.run_in_executor(None, Keyring, data / KEYRING_NAME)
        self._writer = BehaviorWriter(
            self._log, memory, outbox_size=config.behavior.outbox, before_write=self._keyring.ensure_stored
        )
        dead = DeadLetters(self._log, self._writer, rankings, self._keyring, self._served_control)
        searcher = Searcher(embedder, n_candidates=config.search.candidates)
        canaries = Canaries(searcher, self.serving, memory.query_counts)
        self.indexers = Indexers(self._indexes(encoder), self._log, self.serving, encoder, canaries.compare)
        commands = Commands(self._log, self.serving, searcher.rulebooks, self.history)
        drafts = Drafts(self._log, self.serving, commands, self.history)
        if config.worker:
            settle = timedelta(seconds=config.learning.settle_s)
            replays = RepeatedSearches(lambda *asked: self.service.both(*asked), self._keyring)
            self.learners = Learners(self._log, self.serving, commands, drafts, replays, self._keyring, settle=settle)
        worker = self._worker(rankings) if config.worker else None
        self._follower = BehaviorFollower(self._log, memory, worker, data / "behavior")
        await loop.run_in_executor(None, self._follower.restore)
        self.receipts = Receipts(self._log, self.history, self.serving, searcher, rankings, self._keyring)
        self.service = Service(
            self._log,
            self.serving,
            commands,
            drafts,
            searcher,
            self._searches,
            # One core is the event loop's.
            Batches(self._searches, max(1, config.search.concurrency - 1)),
            self._late_searches if self._node is None else None,
            self._writer,
            memory,
            self._keyring,
            dead,
            LastKnown(config.opensearch.last_known if self._node is not None else 0),
            max_events_per_s=config.behavior.max_events_per_s,
            deadline_s=self._deadline_s,
            max_waiting=config.search.max_waiting,
        )
        self.what_ifs = WhatIfs(self._log, self.serving, drafts, self._keyring, self.service.both)
        await self.indexers.reconcile()
        self._writing = asyncio.create_task(self._writer.run(), name="behavior writer")
        self._keep(self._follow_control(reaching), "control")
        self._keep(self._reconcile(), "indexers")
        self._keep(self._follower.run(), "behavior")
        self._watch = LogWatch(self._log, data / "catalog", self._follower.caught_up)
        self._keep(self._watch.run(), "log watch")
        if worker is not None:
            self._keep(worker.run(), "worker")
        if self.learners is not None:
            self._keep(self._learn(self.learners, reaching), "learners")
        revise = self.learners.revise if self.learners is not None else None
        self._keep(self._follow_signals(FactorsFollower(self._log, self.serving, revise), reaching), "signals")
        ingest = IngestConsumer(self._log, self._writer, rankings, self._keyring, self._served_control)
        self._keep(self._ingest(ingest, reaching), "ingest")
        self._keep(self._watch_disk(disk), "disk watch")
        self._keep(self._forget_users(), "keyring")
        self._keep(self._schedule(Scheduler(self._log, drafts), reaching), "scheduler")
        self._keep(self._announce_ready(), "ready")

    async def stop(self) -> None:
        """Finish what was accepted, save, end what was started, the log's server last. Safe after a failed start."""
        self.status = "draining"
        gc.enable()
        await end(self._tasks)
        if hasattr(self, "_writing"):
            await self.what_ifs.close()
            self._writer.close()
            await asyncio.wait([self._writing], timeout=DRAIN_S)
            self._writing.cancel()
            await _as_far_as_it_goes(self._follower.save())
            # A log that hangs is not waited for: its next start has an older checkpoint then.
            await _as_far_as_it_goes(asyncio.wait_for(self._watch.save(), CHECKPOINT_TIMEOUT_S))
        if self.learners is not None:
            await asyncio.to_thread(self.learners.close)
        if hasattr(self, "indexers"):
            await _as_far_as_it_goes(self.indexers.close())
        self._searches.shutdown(wait=True)
        self._late_searches.shutdown(wait=True)
        if hasattr(self, "_keyring"):
            await _as_far_as_it_goes(asyncio.to_thread(self._keyring.close))
        if self._node is not None:
            await _as_far_as_it_goes(asyncio.to_thread(self._node.close))
        await self._log.close()
        if hasattr(self, "_copy"):
            self._copy.close()
        if self._nats is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._nats.stop)

    def health(self) -> Health:
        current = self.serving.current
        states = {
            name: "failed" if name in self.indexers.failed else "ready" if name in current.snapshots else "building"
            for name in current.control.indexes
        }
        reasons = [f"{part}: {reason}" for part, reason in self.reasons.items()]
        if not self._log.connected:
            said = f" ({self._log.connect_errors})" if self._log.connect_errors else ""
            reasons.append(f"log: not connected{said}; searches go on, changes and events answer 503")
        if self._node is not None and self._node.trouble:
            reasons.append(f"opensearch: {self._node.trouble}")
        reasons += [f"index {name}: {reason}" for name, reason in self.indexers.failed.items()]
        status = "degraded" if self.status == "ready" and reasons else self.status
        return Health(
            status=status,
            reasons=reasons,
            version=__version__,
            applied_seq=current.control.seq,
            indexes=states,
            outbox=self._writer.counts,
            known_rankings=len(self.service.rankings),
            started_at=self.started_at,
            log_read_at=self._watch.read_at,
        )

    async def _reach_log(self) -> None:
        """Return once the log is connected, has its streams, and CONTROL from it is served. Raises Corrupt."""
        nats = self.config.nats
        url, user, password = nats.url, nats.user, nats.password
        if self._nats is not None:
            # Started from this thread, which lives as long as the process: the child is bound to it.
            self._keep(server.supervise(self._nats, self._child_said), "nats-server")
            await self._child_up.wait()
            account = self._nats.address.accounts["service"]
            url, user, password = self._nats.address.url, account.user, account.password
        await self._log.connect(url, user=user, password=password)
        while True:
            try:
                await self._log.ensure_streams(replicas=nats.replicas or self._log.default_replicas)
                return await self._replay_control()
            except Unavailable as error:
                self._note("log", str(error))
                await asyncio.sleep(RETRY_S)
                self._note("log", "")

    async def _reached_in_time(self, reaching: asyncio.Task[None]) -> None:
        """Wait for the log while there is hope; without anything on disk to serve, for as long as a server may take.

        Raises Corrupt, and Unavailable where there is neither a log nor anything to serve.
        """
        patience_s = ALONE_AFTER_S if self._copy.seq else HOPELESS_AFTER_S
        deadline = self._began + patience_s
        while not reaching.done() and not self._log_trouble and time.monotonic() < deadline:
            await asyncio.wait([reaching], timeout=RETRY_S / 10)
        if reaching.done():
            reaching.result()
            return
        if not self._copy.seq:
            raise Unavailable(self._log_trouble or f"the log was not reached within {patience_s:g} s")
        log.warning("the log is not there yet: serving what is on disk, as of CONTROL %d", self._copy.seq)
        self._alone.set()

    @property
    def _log_trouble(self) -> str:
        """What was heard of the log's server that keeps it from being reached; '' while nothing was."""
        if self._nats is not None:
            return self.reasons.get("nats-server", "")
        return (
            f"no NATS answers at {self.config.nats.url}: {self._log.connect_errors}" if self._log.connect_errors else ""
        )

    def _child_said(self, reason: str) -> None:
        self._note("nats-server", reason)
        if not reason:
            self._child_up.set()

    async def _replay_control(self) -> None:
        state, last_seq, hash_ = control.ControlState(), 0, GENESIS
        async for record in self._log.read("CONTROL"):
            last_seq, hash_ = record.seq, link(hash_, record.data)
            self._copy.keep(record, hash_)
            if state.seq == record.seq - 1:
                try:
                    state = control.fold_message(state, record.data, record.seq)
                except LaterVersion as error:
                    self._note("control", str(error))
        if last_seq < self._copy.seq:
            raise Corrupt(
                f"CONTROL ends at {last_seq}, but {self._copy.path} holds {self._copy.seq}: what is missing was lost. "
                f"`searchsvc events import {self._copy.path}` puts it back"
            )
        await self.serving.set_control(state)
        self._structure_changed.set()

    async def _follow_control(self, reaching: asyncio.Task[None]) -> None:
        await reaching
        async for record in self._log.follow("CONTROL", after=self.serving.current.control.seq):
            before = self.serving.current.control
            after = control.fold_message(before, record.data, record.seq)
            # Nothing is served that could not be shown again: the copy first.
            await asyncio.to_thread(self._copy.keep, record, after.chain)
            await self.serving.set_control(after)
            if _structure(before) != _structure(after):
                self._structure_changed.set()

    async def _reconcile(self) -> None:
        """Apart from the follower: ending an indexer can take seconds, and changes of weights must not wait for it."""
        while True:
            await self._structure_changed.wait()
            self._structure_changed.clear()
            await self.indexers.reconcile()

    async def _ingest(self, ingest: IngestConsumer, reaching: asyncio.Task[None]) -> None:
        await reaching
        await ingest.run()

    async def _learn(self, learners: Learners, reaching: asyncio.Task[None]) -> None:
        await reaching
        await learners.run(self._follower.caught_up)

    async def _follow_signals(self, follower: FactorsFollower, reaching: asyncio.Task[None]) -> None:
        await reaching
        await follower.run()

    async def _schedule(self, scheduler: Scheduler, reaching: asyncio.Task[None]) -> None:
        await reaching
        await scheduler.run()

    def _served_control(self) -> control.ControlState:
        return self.serving.current.control

    def _indexes(self, encoder: DocumentEncoder | None) -> Indexes:
        model, dimension = (encoder.digest, encoder.dimension) if encoder is not None else ("", 0)
        wanted = self.config.opensearch
        if not wanted.url:
            return EmbeddedIndexes(self.config.data_path / "indexes", model, dimension)
        # Its client takes a while to import, at every start.
        from searchsvc.engines.opensearch.indexes import OpenSearchIndexes
        from searchsvc.engines.opensearch.node import Node

        self._node = Node.of(wanted)
        return OpenSearchIndexes(
            self._node, wanted.prefix, model, dimension, n_shards=wanted.shards, n_replicas=wanted.replicas
        )

    @property
    def _deadline_s(self) -> float:
        """What takes long in a cluster is not the vectors, and finding and reading have a limit of their own there."""
        if self._node is not None:
            return self._node.longest_search_s
        return self.config.search.vector_deadline_ms / 1e3

    def _worker(self, rankings: RecentRankings) -> Worker:
        wait = timedelta(seconds=self.config.behavior.join_wait_s)
        join = ClickthroughJoin(wait=wait, n_rankings=N_WHOLE_RANKINGS)
        return Worker(self._log, rankings, join, self.learners)

    def _load_model(self) -> tuple[Embedder | None, DocumentEncoder | None]:
        """Without a model the service still answers keyword searches, and says that they are degraded."""
        wanted = self.config.embedding
        data = self.config.data_path
        try:
            folder = exported(find_model(wanted.model), data / "models")
            embedder = Embedder(
                folder,
                cache_size=wanted.query_cache,
                query_threads=wanted.query_threads,
                document_threads=wanted.document_threads,
            )
            embedder.encode_query("warm up")
        except (Unavailable, Corrupt, InvalidInput) as error:
            self.reasons["embedding"] = str(error)
            log.error("vector search is off: %s", error)
            return None, None
        cache = VectorCache(data / "vectors" / f"{embedder.digest[:16]}.sqlite", embedder.dimension)
        return embedder, DocumentEncoder(embedder, cache)

    async def _watch_disk(self, disk: DiskGuard) -> None:
        while True:
            was_full = disk.full
            await asyncio.to_thread(disk.look)
            self._note("disk", disk.reason)
            room_again = was_full and not disk.full
            # A server that met the end of the disk refuses writes until it is started again.
            if room_again and self._nats is not None and not await asyncio.to_thread(self._nats.healthy):
                self._nats.terminate()
            await asyncio.sleep(DISK_LOOK_EVERY_S)

    async def _forget_users(self) -> None:
        while True:
            await asyncio.to_thread(self._keyring.forget, datetime.now(UTC))
            await asyncio.sleep(FORGET_EVERY_S)

    @property
    def _all_indexes_told(self) -> bool:
        """Whether each index is either served or known to have failed."""
        current = self.serving.current
        return all(name in current.snapshots or name in self.indexers.failed for name in current.control.indexes)

    async def _announce_ready(self) -> None:
        ready = [asyncio.ensure_future(event.wait()) for event in (self._follower.caught_up, self._alone)]
        await asyncio.wait(ready, return_when=asyncio.FIRST_COMPLETED)
        for waiting in ready:
            waiting.cancel()
        _settle_memory()
        while not self._all_indexes_told:  # noqa: ASYNC110 - one that failed tells nobody
            await asyncio.sleep(READY_CHECK_S)
        if self.status == "starting":
            self.status = "ready"
        _settle_memory()

    def _note(self, part: str, reason: str) -> None:
        """Why a part is not well, for `health`; '' where it is."""
        if reason:
            self.reasons[part] = reason
        else:
            self.reasons.pop(part, None)

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something for as long as the app runs; its failure is said in `health` and in the log."""

        async def watched() -> None:
            try:
                await work
            except Exception as error:
                cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                self.reasons[name] = str(cause) or type(cause).__name__
                if isinstance(cause, Corrupt):
                    self.status = "corrupt"
                log.exception("%s stopped", name)

        self._tasks.append(asyncio.create_task(watched(), name=name))


def _settle_memory() -> None:
    """What a start made stays: full garbage collections need not go through it again and again, under searches."""
    gc.collect()
    gc.freeze()
    gc.enable()


async def _as_far_as_it_goes(work: Awaitable[None]) -> None:
    """One step of a stop: whatever keeps it from ending well must not keep the others from being done."""
    try:
        await work
    except Exception as error:
        log.warning("a step of the stop failed, the others go on: %s", repr(error))


def _structure(state: control.ControlState) -> dict[str, tuple[int, int]]:
    """What indexers depend on: which indexes there are, and the sequence of their settings."""
    return {name: (index.created_seq, index.settings_seq) for name, index in state.indexes.items()}
