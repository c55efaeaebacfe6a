"""Which of the node's indexes is which: concrete ones, numbered, behind a read and a write alias.

    <prefix>-<index>-<created>-r, -w    ->    <prefix>-<index>-<created>-v<n>        what is searched, and written to
    <prefix>-<index>-<created>-p        ->    <prefix>-<index>-<created>-v<n-1>      what was before, to go back to

So an index can be built anew beside the one that is searched, and take its place in one call. `created` is the CONTROL
sequence that made the index: one of the same name that is made later is another.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from events.errors import Corrupt, NotFound
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.engines.opensearch import dsl, mapping, replies
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.status import has_knn
from searchsvc.engines.protocol import Delete, Engine, Upsert

# What is not allocated by then is red, and is tried again.
NEW_INDEX_TIMEOUT: Final = "5s"
log = logging.getLogger(__name__)


class OpenSearchIndexes:
    """`searchsvc.engines.protocol.Indexes` on a node.

    prefix: what all of this service's begin with. model, dimension: of the
    vectors; '' and 0 without. n_shards, n_replicas: of indexes that are made."""

    def __init__(
        self, node: Node, prefix: str, model: str, dimension: int, *, n_shards: int = 1, n_replicas: int = 0
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._model = model
        self._dimension = dimension
        self._n_shards = n_shards
        self._n_replicas = n_replicas

    def storage(self, control: IndexControl) -> OpenSearchStorage:
        return OpenSearchStorage(
            self._node,
            self._prefix,
            self._base(control),
            control.settings,
            self._model,
            self._dimension,
            n_shards=self._n_shards,
            n_replicas=self._n_replicas,
        )

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        kept = {self._base(control) for control in controls}
        found = self._node.call("GET", f"/{self._prefix}-*", dict[str, replies.IndexFound])
        for name, one in found.items():
            # Another service's prefix may begin as this one does, and so may the name of what is no service's.
            if one.mappings.meta.prefix == self._prefix and name.rpartition("-v")[0] not in kept:
                with suppress(NotFound):
                    self._node.call("DELETE", f"/{name}", msgspec.Raw)

    def _base(self, control: IndexControl) -> str:
        return f"{self._prefix}-{control.name}-{control.created_seq}"


class OpenSearchStorage:
    """`searchsvc.engines.protocol.IndexStorage` of one index.

    The node keeps all that is written, so nothing is left to save."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        base: str,
        settings: IndexSettings,
        model: str,
        dimension: int,
        *,
        n_shards: int = 1,
        n_replicas: int = 0,
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._base = base
        self._settings = settings
        self._model = model
        self._dimension = dimension if settings.embedding is not None else 0
        self._n_shards = n_shards
        self._n_replicas = n_replicas

    def open(self) -> OpenSearchEngine:
        """Of what was made by the same settings and model: the index that is searched, else the newest, which an
        earlier process began; else an empty one."""
        knn = self._knn()
        found, fingerprint = self._found(), self._fingerprint(knn)
        fit = [name for name, one in found.items() if one.mappings.meta.fingerprint == fingerprint]
        searched = next((name for name, one in found.items() if self._read in one.aliases), None)
        if searched is not None and searched not in fit:
            log.warning(
                "%s was made by other settings, another model or for other plugins: built anew from the log", searched
            )
        name = searched if searched in fit else max(fit, key=_number, default=None)
        return self._opened(name, _n_shards(found[name]), knn) if name is not None else self._new(knn)

    def create(self) -> OpenSearchEngine:
        return self._new(self._knn())

    def _new(self, knn: bool) -> OpenSearchEngine:
        number = max(map(_number, self._found()), default=0) + 1
        name = f"{self._base}-v{number}"
        made = mapping.index_body(
            self._settings, self._dimension, knn=knn, n_shards=self._n_shards, n_replicas=self._n_replicas
        )
        made["mappings"]["_meta"] |= {"fingerprint": self._fingerprint(knn), "prefix": self._prefix}
        self._node.call("PUT", f"/{name}", msgspec.Raw, made, query={"timeout": NEW_INDEX_TIMEOUT})
        return self._opened(name, self._n_shards, knn)

    def open_previous(self) -> OpenSearchEngine:
        """What was made by other settings is of no use: these settings in force again would take it up."""
        knn = self._knn()
        fingerprint = self._fingerprint(knn)
        for name, one in self._found().items():
            if self._previous in one.aliases and one.mappings.meta.fingerprint == fingerprint:
                return self._opened(name, _n_shards(one), knn)
        raise NotFound(f"{self._base} has no index of before by the settings in force", field="previous")

    def adopt(self, engine: Engine) -> None:
        """In one call: both aliases lead to it, another to the one before, and all others go."""
        new = engine.snapshot().generation
        found = self._found()
        before = next((name for name, one in found.items() if self._read in one.aliases), None)
        if before == new:
            return
        self._node.call("POST", f"/{new}/_refresh", msgspec.Raw)
        count = ConcreteIndex(self._node, new).ask_all("/_count", replies.Count, {"query": dsl.LIVE}).count
        if count != engine.snapshot().n_documents:
            raise Corrupt(f"{new} was given {engine.snapshot().n_documents} documents and holds {count}")
        actions: list[dict[str, object]] = [
            {"remove_index": {"index": name}} for name in found if name not in (new, before)
        ]
        for alias, name in ((self._read, new), (self._write, new), (self._previous, before)):
            kept = [other for other in (new, before) if other is not None and alias in found[other].aliases]
            actions += [{"remove": {"index": other, "alias": alias}} for other in kept]
            actions += [{"add": {"index": name, "alias": alias}}] if name is not None else []
        self._node.call("POST", "/_aliases", msgspec.Raw, {"actions": actions})

    def save(self) -> None:
        pass

    def compact(self, encode: Callable[[list[Upsert]], Sequence[Upsert | Delete]]) -> None:
        """The node tidies up by itself."""
        return

    def _opened(self, name: str, n_shards: int, knn: bool) -> OpenSearchEngine:
        engine = OpenSearchEngine(self._node, name, self._settings, self._dimension, knn=knn, n_shards=n_shards)
        engine.restore()
        return engine

    def _found(self) -> dict[str, replies.IndexFound]:
        """The concrete indexes by name: not those of an index whose own name goes on like this."""
        found = self._node.call("GET", f"/{self._base}-v*", dict[str, replies.IndexFound])
        return {name: one for name, one in found.items() if name.removeprefix(f"{self._base}-v").isdigit()}

    def _fingerprint(self, knn: bool) -> str:
        """Of all that an index is made by: where it differs, documents have to be written again."""
        made = msgspec.json.encode([mapping.SCHEMA, self._settings, self._model, knn])
        return hashlib.sha256(made).hexdigest()[:16]

    def _knn(self) -> bool:
        """Whether the node looks for the nearest vectors, asked once for each index that is opened; where it cannot,
        the service does."""
        return bool(self._dimension) and has_knn(self._node)

    @property
    def _read(self) -> str:
        return f"{self._base}-r"

    @property
    def _write(self) -> str:
        return f"{self._base}-w"

    @property
    def _previous(self) -> str:
        return f"{self._base}-p"


def _number(name: str) -> int:
    return int(name.rpartition("-v")[2])


def _n_shards(found: replies.IndexFound) -> int:
    return int(found.settings.index.number_of_shards)
