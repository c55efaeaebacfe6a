"""The concrete indexes of a service on the node, numbered, behind aliases.

    <prefix>-<index>-<created>-r, -w    ->    <prefix>-<index>-<created>-v<n>        searched, and written to
    <prefix>-<index>-<created>-p        ->    <prefix>-<index>-<created>-v<n-1>      the previous one, to go back to

So an index can be rebuilt beside the one that is searched, and take its place in one call. `created` is the CONTROL
sequence that made the index: an index of the same name that is made later is another.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import msgspec

from events.errors import Corrupt, NotFound
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.clauses import LIVE
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.status import has_knn
from searchsvc.engines.protocol import Engine

# An index whose shards are not allocated by then is red; opening it is tried again.
NEW_INDEX_TIMEOUT: Final = "5s"
log = logging.getLogger(__name__)


class Layout(msgspec.Struct, frozen=True):
    """How the indexes of a service are made.

    prefix: what all their names begin with
    model: digest of the model that makes the vectors, '' without one
    dimension: of the vectors, 0 without a model
    n_shards: number of shards of new indexes
    n_replicas: number of replicas of new indexes
    """

    prefix: str
    model: str
    dimension: int
    n_shards: int = 1
    n_replicas: int = 0


class OpenSearchIndexes:
    """`searchsvc.engines.protocol.Indexes` on a node. For the parameters see `Layout`."""

    def __init__(
        self, node: Node, prefix: str, model: str, dimension: int, *, n_shards: int = 1, n_replicas: int = 0
    ) -> None:
        self._node = node
        self._layout = Layout(prefix, model, dimension, n_shards, n_replicas)

    def storage(self, control: IndexControl) -> OpenSearchStorage:
        return OpenSearchStorage(self._node, self._layout, self._base(control), control.settings.indexed)

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        bases = {self._base(control) for control in controls}
        indexes = self._node.call("GET", f"/{self._layout.prefix}-*", dict[str, replies.IndexDescription])
        for name, index in indexes.items():
            # The names of other services, and of indexes of no service, may begin with our prefix.
            if index.mappings.meta.prefix == self._layout.prefix and name.rpartition("-v")[0] not in bases:
                with suppress(NotFound):
                    self._node.call("DELETE", f"/{name}", msgspec.Raw)

    def _base(self, control: IndexControl) -> str:
        return f"{self._layout.prefix}-{control.name}-{control.created_seq}"


class OpenSearchStorage:
    """`searchsvc.engines.protocol.IndexStorage` of one index. The node stores all that is written.

    base: what the names of its concrete indexes and aliases begin with
    """

    def __init__(self, node: Node, layout: Layout, base: str, settings: IndexSettings) -> None:
        self._node = node
        self._layout = layout
        self._base = base
        self._settings = settings
        self._dimension = layout.dimension if settings.embedding is not None else 0
        self._read_alias, self._write_alias, self._previous_alias = f"{base}-r", f"{base}-w", f"{base}-p"

    def open(self) -> OpenSearchEngine:
        """Open a concrete index, or create one.

        Of those built by the same settings and model: the one that is searched, else the newest, which an earlier
        process began to fill.
        """
        knn = self._knn()
        indexes, fingerprint = self._concrete_indexes(), self._fingerprint(knn)
        fitting = [name for name, index in indexes.items() if index.mappings.meta.fingerprint == fingerprint]
        searched = next((name for name, index in indexes.items() if self._read_alias in index.aliases), None)
        if searched is not None and searched not in fitting:
            log.warning(
                "%s was built by other settings, another model or for other plugins: rebuilding it from the log",
                searched,
            )
        name = searched if searched in fitting else max(fitting, key=_number, default=None)
        return self._open(name, indexes[name].n_shards, knn) if name is not None else self._create(knn)

    def create(self) -> OpenSearchEngine:
        return self._create(self._knn())

    def open_previous(self) -> OpenSearchEngine:
        """Open the previous index.

        Raises NotFound also if other settings built it: the settings in force would rebuild it at once.
        """
        knn = self._knn()
        fingerprint = self._fingerprint(knn)
        for name, index in self._concrete_indexes().items():
            if self._previous_alias in index.aliases and index.mappings.meta.fingerprint == fingerprint:
                return self._open(name, index.n_shards, knn)
        raise NotFound(f"{self._base} has no previous index by the settings in force", field="previous")

    def adopt(self, engine: Engine) -> None:
        """Point the read and write aliases to an engine's index and drop all but the one before, in one call."""
        new = engine.snapshot().generation
        indexes = self._concrete_indexes()
        before = next((name for name, index in indexes.items() if self._read_alias in index.aliases), None)
        if before == new:
            return
        self._node.call("POST", f"/{new}/_refresh", msgspec.Raw)
        count = ConcreteIndex(self._node, new).ask_all("/_count", replies.Count, {"query": LIVE}).count
        if count != engine.snapshot().n_documents:
            raise Corrupt(f"{new} was given {engine.snapshot().n_documents} documents and holds {count}")
        actions: list[dict[str, object]] = [
            {"remove_index": {"index": name}} for name in indexes if name not in (new, before)
        ]
        targets = ((self._read_alias, new), (self._write_alias, new), (self._previous_alias, before))
        for alias, target in targets:
            holders = [name for name in (new, before) if name is not None and alias in indexes[name].aliases]
            actions += [{"remove": {"index": name, "alias": alias}} for name in holders]
            actions += [{"add": {"index": target, "alias": alias}}] if target is not None else []
        self._node.call("POST", "/_aliases", msgspec.Raw, {"actions": actions})

    def discard(self, engine: Engine) -> None:
        """Do nothing: what was begun is continued, or dropped when another index is adopted."""

    def save(self) -> None:
        """Do nothing: the node stores each write."""

    def compact(self) -> None:
        """Do nothing: the node merges its segments itself."""

    def _create(self, knn: bool) -> OpenSearchEngine:
        number = max(map(_number, self._concrete_indexes()), default=0) + 1
        name = f"{self._base}-v{number}"
        n_shards, n_replicas = self._layout.n_shards, self._layout.n_replicas
        body = mapping.index_body(self._settings, self._dimension, knn=knn, n_shards=n_shards, n_replicas=n_replicas)
        body["mappings"]["_meta"] |= {"fingerprint": self._fingerprint(knn), "prefix": self._layout.prefix}
        self._node.call("PUT", f"/{name}", msgspec.Raw, body, query={"timeout": NEW_INDEX_TIMEOUT})
        return self._open(name, n_shards, knn)

    def _open(self, name: str, n_shards: int, knn: bool) -> OpenSearchEngine:
        engine = OpenSearchEngine(self._node, name, self._settings, self._dimension, knn=knn, n_shards=n_shards)
        engine.restore()
        return engine

    def _concrete_indexes(self) -> dict[str, replies.IndexDescription]:
        """Return the concrete indexes by name, without those of an index whose own name begins with ours."""
        indexes = self._node.call("GET", f"/{self._base}-v*", dict[str, replies.IndexDescription])
        return {name: index for name, index in indexes.items() if name.removeprefix(f"{self._base}-v").isdigit()}

    def _fingerprint(self, knn: bool) -> str:
        """Return a hash of all that an index is built by. An index with another one must be rebuilt."""
        parts = msgspec.json.encode([mapping.SCHEMA, self._settings, self._layout.model, knn])
        return hashlib.sha256(parts).hexdigest()[:16]

    def _knn(self) -> bool:
        """Return whether the node searches the vectors; otherwise the service does. Asks the node each time."""
        return bool(self._dimension) and has_knn(self._node)


def _number(name: str) -> int:
    return int(name.rpartition("-v")[2])
