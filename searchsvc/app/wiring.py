"""The composition root: the only place that names adapters and puts the parts of a service together.

Each part that has to be ended adds its end to `Shutdown` where it is opened, so the order of opening is the reverse of
the order of ending:

    opened:  server, copy, log | node, keyring, threads, indexers, learners | writer, what-ifs
    ended:   what-ifs, writer (accepted events are written), learners, indexers (saved), ..., the log's server last
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from events import server
from events.control import ControlState
from events.copy import COPY_NAME, ControlCopy
from events.history import ControlHistory
from events.jetstream import JetStreamEventLog
from searchsvc.app.log_watch import LogWatch
from searchsvc.app.shutdown import Shutdown
from searchsvc.behavior.admission import Allowance
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.ingest import IngestConsumer
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded.indexes import EmbeddedIndexes
from searchsvc.engines.protocol import Indexes
from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchThreads
from searchsvc.indexing.encoder import DocumentEncoder
from searchsvc.indexing.indexers import Indexers
from searchsvc.learning.learners import Learners
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.rehearsal.receipts.receipts import Receipts
from searchsvc.rehearsal.rehearser import Rehearser
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.rehearsal.what_if.what_ifs import WhatIfs
from searchsvc.runtime.batches import Batches
from searchsvc.runtime.config import Config
from searchsvc.runtime.disk import DiskGuard
from searchsvc.search.last_known import LastKnown
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.searcher import Searcher
from searchsvc.service.completions import Completions
from searchsvc.service.documents import Documents
from searchsvc.service.history import ChangeHistory
from searchsvc.service.indexes import IndexAdministration
from searchsvc.service.interactions import Interactions
from searchsvc.service.learning import LearningReports
from searchsvc.service.previews import Previews
from searchsvc.service.privacy import Privacy
from searchsvc.service.searches import RankingLog, Searches
from searchsvc.service.services import Services
from searchsvc.state.control_follower import ControlFollower
from searchsvc.state.serving import Serving
from tuning.clicks.join import ClickthroughJoin

if TYPE_CHECKING:
    from searchsvc.engines.opensearch.node import Node

# Rankings that the worker holds whole; for an older one it reads the log again.
N_WHOLE_RANKINGS: Final = 10_000
DRAIN_TIMEOUT_S: Final = 3.0
CHECKPOINT_TIMEOUT_S: Final = 0.5


class LogParts(msgspec.Struct, frozen=True):
    """The log and what is served from CONTROL.

    nats: our own server; None for a configured one
    copy: CONTROL on disk
    """

    nats: server.NatsServer | None
    disk: DiskGuard
    copy: ControlCopy
    history: ControlHistory
    event_log: JetStreamEventLog
    serving: Serving
    control: ControlFollower

    def served_control(self) -> ControlState:
        """CONTROL as it is served now."""
        return self.serving.current.control


class SearchParts(msgspec.Struct, frozen=True):
    """What searches run on.

    node: client of the OpenSearch cluster; None for embedded indexes
    """

    node: Node | None
    searcher: Searcher
    threads: SearchThreads
    load: SearchLoad
    execution: SearchExecution
    rehearser: Rehearser


class BehaviorParts(msgspec.Struct, frozen=True):
    """What follows and writes BEHAVIOR.

    worker, learners: None if another service runs the worker
    """

    state: BehaviorState
    writer: BehaviorWriter
    follower: BehaviorFollower
    worker: Worker | None
    learners: Learners | None
    ingest: IngestConsumer
    dead_letters: DeadLetters


def open_log(config: Config, shutdown: Shutdown) -> LogParts:
    """Open everything that a service is built on; connects to nothing yet. Raises Unavailable and Corrupt."""
    data, nats = config.data_path, None
    if not config.nats.url:
        nats = server.NatsServer(data, port=config.nats.port, ingest_password=config.nats.ingest_password)
        shutdown.add_blocking(nats.stop)
    copy = ControlCopy(data / COPY_NAME)
    shutdown.add_blocking(copy.close)
    event_log = JetStreamEventLog()
    shutdown.add(event_log.close)
    disk = DiskGuard(
        data,
        warn_share=config.disk.warn_share,
        stop_share=config.disk.stop_share,
        enough_bytes=config.disk.enough_mb * 1_000_000,
    )
    event_log.before_append = disk.require
    serving = Serving()
    control = ControlFollower(event_log, copy, serving)
    return LogParts(nats, disk, copy, ControlHistory(copy), event_log, serving, control)


def open_node(config: Config, shutdown: Shutdown) -> Node | None:
    """The client of the OpenSearch cluster; None if the indexes are embedded."""
    if not config.opensearch.url:
        return None
    # Importing the client takes a while, which a start without a cluster need not spend.
    from searchsvc.engines.opensearch.node import Node

    node = Node.from_config(config.opensearch)
    shutdown.add_blocking(node.close)
    return node


async def open_keyring(config: Config, shutdown: Shutdown) -> Keyring:
    """The keys that tie the log to users."""
    keyring = await asyncio.to_thread(Keyring, config.data_path / KEYRING_NAME)
    shutdown.add_blocking(keyring.close)
    return keyring


def open_search(
    config: Config, log: LogParts, node: Node | None, embedder: Embedder | None, shutdown: Shutdown
) -> SearchParts:
    """The searcher and its threads.

    embedder: None if there is no model
    """
    # Searches of a cluster spend most of their time waiting for it.
    n_threads = config.opensearch.connections if node is not None else config.search.concurrency
    searches = ThreadPoolExecutor(n_threads, thread_name_prefix="search")
    late_searches = ThreadPoolExecutor(1, thread_name_prefix="late search") if node is None else None
    for pool in (late_searches, searches):
        if pool is not None:
            shutdown.add_blocking(partial(pool.shutdown, wait=True))
    # One core is the event loop's.
    encodings: Batches[PreparedSearch] = Batches(searches, max(1, config.search.concurrency - 1))
    threads, load = SearchThreads(searches, encodings, late_searches), SearchLoad(config.search.max_waiting)
    # In a cluster it is not the vector leg that is slow, and requests to it have a timeout of their own.
    deadline_s = node.longest_search_s if node is not None else config.search.vector_deadline_ms / 1e3
    searcher = Searcher(embedder, n_candidates=config.search.candidates)
    execution = SearchExecution(searcher, threads, load, deadline_s=deadline_s)
    return SearchParts(node, searcher, threads, load, execution, Rehearser(execution, load, log.serving))


def open_indexers(
    config: Config,
    log: LogParts,
    search: SearchParts,
    behavior_state: BehaviorState,
    encoder: DocumentEncoder | None,
    shutdown: Shutdown,
) -> Indexers:
    """What builds the indexes.

    encoder: None if there is no model
    """
    canaries = Canaries(search.searcher, log.serving, behavior_state.query_counts)
    indexes = _indexes(config, search.node, encoder)
    indexers = Indexers(indexes, log.event_log, log.serving, encoder, canaries.compare)
    shutdown.add(indexers.close)
    return indexers


def _indexes(config: Config, node: Node | None, encoder: DocumentEncoder | None) -> Indexes:
    model, dimension = (encoder.digest, encoder.dimension) if encoder is not None else ("", 0)
    if node is None:
        return EmbeddedIndexes(config.data_path / "indexes", model, dimension)
    from searchsvc.engines.opensearch.indexes import OpenSearchIndexes

    cluster = config.opensearch
    return OpenSearchIndexes(
        node, cluster.prefix, model, dimension, n_shards=cluster.shards, n_replicas=cluster.replicas
    )


class ChangeParts(msgspec.Struct, frozen=True):
    """What writes CONTROL."""

    commands: Commands
    drafts: Drafts


def open_changes(log: LogParts, search: SearchParts) -> ChangeParts:
    """What writes CONTROL."""
    commands = Commands(log.event_log, log.serving, search.searcher.rulebooks, log.history)
    return ChangeParts(commands, Drafts(log.event_log, log.serving, commands, log.history))


def open_learners(
    config: Config, log: LogParts, search: SearchParts, changes: ChangeParts, keyring: Keyring, shutdown: Shutdown
) -> Learners | None:
    """The learners; None if another service runs the worker."""
    if not config.worker:
        return None
    learners = Learners(
        log.event_log,
        log.serving,
        changes.commands,
        changes.drafts,
        RepeatedSearches(search.rehearser.compare, keyring),
        keyring,
        settle=timedelta(seconds=config.learning.settle_s),
    )
    shutdown.add_blocking(learners.close)
    return learners


async def open_behavior(
    config: Config, log: LogParts, behavior_state: BehaviorState, keyring: Keyring, learners: Learners | None
) -> BehaviorParts:
    """What follows and writes BEHAVIOR, restored from its last snapshot. Raises Corrupt."""
    event_log, rankings = log.event_log, behavior_state.rankings
    writer = BehaviorWriter(
        event_log, behavior_state, outbox_size=config.behavior.outbox, before_write=keyring.ensure_stored
    )
    worker = None
    if config.worker:
        wait = timedelta(seconds=config.behavior.join_wait_s)
        worker = Worker(event_log, rankings, ClickthroughJoin(wait=wait, n_rankings=N_WHOLE_RANKINGS), learners)
    follower = BehaviorFollower(event_log, behavior_state, worker, config.data_path / "behavior")
    await asyncio.to_thread(follower.restore)
    ingest = IngestConsumer(event_log, writer, rankings, keyring, log.served_control)
    dead_letters = DeadLetters(event_log, writer, rankings, keyring, log.served_control)
    return BehaviorParts(behavior_state, writer, follower, worker, learners, ingest, dead_letters)


def start_writing(behavior: BehaviorParts, watch: LogWatch, shutdown: Shutdown) -> None:
    """Start to write BEHAVIOR. At the end what was accepted is written, and snapshots and checkpoints are saved."""
    writing = asyncio.create_task(behavior.writer.run(), name="behavior writer")

    async def drain() -> None:
        behavior.writer.close()
        await asyncio.wait([writing], timeout=DRAIN_TIMEOUT_S)
        writing.cancel()

    async def save_checkpoint() -> None:
        # A log that hangs is not waited for: the next start compares with an older checkpoint then.
        await asyncio.wait_for(watch.save(), CHECKPOINT_TIMEOUT_S)

    shutdown.add(save_checkpoint)
    shutdown.add(behavior.follower.save)
    shutdown.add(drain)


def open_services(
    config: Config,
    log: LogParts,
    search: SearchParts,
    changes: ChangeParts,
    behavior: BehaviorParts,
    indexers: Indexers,
    keyring: Keyring,
    shutdown: Shutdown,
) -> Services:
    """The use cases that the API calls."""
    serving, event_log, rankings = log.serving, log.event_log, behavior.state.rankings
    commands, drafts = changes.commands, changes.drafts
    what_ifs = WhatIfs(event_log, serving, drafts, keyring, search.rehearser.compare)
    shutdown.add(what_ifs.close)
    last_known = LastKnown(config.opensearch.last_known if search.node is not None else 0)
    ranking_log = RankingLog(behavior.writer, rankings, keyring)
    return Services(
        serving=serving,
        searches=Searches(
            serving, search.execution, search.load, ranking_log, last_known, search.rehearser, commands, drafts
        ),
        completions=Completions(
            serving, search.searcher, behavior.state.query_counts, search.threads.searches, search.load
        ),
        documents=Documents(event_log, serving, commands, search.threads.searches),
        interactions=Interactions(
            serving, behavior.writer, rankings, keyring, Allowance(config.behavior.max_events_per_s)
        ),
        dead_letters=behavior.dead_letters,
        indexes=IndexAdministration(serving, commands, indexers),
        commands=commands,
        drafts=drafts,
        previews=Previews(serving, drafts, search.rehearser),
        what_ifs=what_ifs,
        history=ChangeHistory(log.history),
        receipts=Receipts(event_log, log.history, serving, search.searcher, rankings, keyring),
        privacy=Privacy(keyring, commands),
        learning=LearningReports(behavior.learners),
    )
