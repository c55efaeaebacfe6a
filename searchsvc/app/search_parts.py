"""Open what searches and what builds indexes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from searchsvc.app.log_parts import LogParts
from searchsvc.app.shutdown import Shutdown
from searchsvc.behavior.state import BehaviorState
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded.indexes import EmbeddedIndexes
from searchsvc.engines.protocol import Indexes
from searchsvc.execution.load import SearchLoad
from searchsvc.execution.search_execution import SearchExecution, SearchThreads
from searchsvc.indexing.encoder import DocumentEncoder
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.rehearsal.canaries import Canaries
from searchsvc.rehearsal.rehearser import Rehearser
from searchsvc.runtime.batches import Batches
from searchsvc.runtime.config import Config
from searchsvc.search.prepared_search import PreparedSearch
from searchsvc.search.searcher import Searcher

if TYPE_CHECKING:
    from searchsvc.engines.opensearch.node import Node


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


def open_node(config: Config, shutdown: Shutdown) -> Node | None:
    """Return the client of the OpenSearch cluster; None if the indexes are embedded."""
    if not config.opensearch.url:
        return None
    # Importing the client takes a while, which a start without a cluster need not spend.
    from searchsvc.engines.opensearch.node import Node

    node = Node.from_config(config.opensearch)
    shutdown.add_blocking(node.close)
    return node


def open_search(
    config: Config, log: LogParts, node: Node | None, embedder: Embedder | None, shutdown: Shutdown
) -> SearchParts:
    """Open the searcher and its threads.

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
    searcher = Searcher(embedder, n_candidates=config.search.candidates, rulebooks=log.rulebooks)
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
    """Open what builds the indexes.

    encoder: None if there is no model
    """
    canaries = Canaries(search.searcher, log.serving, behavior_state.query_counts)
    indexes = _indexes(config, search.node, encoder)
    measurement_files = MeasurementFiles(config.data_path / "measurements")
    indexers = Indexers(indexes, log.event_log, log.serving, encoder, measurement_files, canaries.compare)
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
