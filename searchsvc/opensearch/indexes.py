"""Which of the node's indexes is which: concrete ones, numbered, behind a read and a write alias.

    <prefix>-<index>-<created>-r, -w    ->    <prefix>-<index>-<created>-v<n>

So an index can be built anew beside the one that is searched, and take its place in one call. `created` is the CONTROL
sequence that made the index: one of the same name that is made later is another.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence

import msgspec

from events.control import IndexControl
from events.errors import NotFound
from events.settings import IndexSettings
from searchsvc.engine import Delete, Upsert
from searchsvc.opensearch import mapping, replies
from searchsvc.opensearch.engine import OpenSearchEngine
from searchsvc.opensearch.node import Node

log = logging.getLogger(__name__)


class OpenSearchIndexes:
    """`searchsvc.engine.Indexes` on a node. prefix: what all of this service's begin with. model, dimension: of the
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
        made = mapping.index_body(
            control.settings, self._dimension, n_shards=self._n_shards, n_replicas=self._n_replicas
        )
        fingerprint = _fingerprint(control.settings, self._model)
        made["mappings"]["_meta"]["fingerprint"] = fingerprint
        base = self._base(control)
        return OpenSearchStorage(self._node, base, control.settings, self._dimension, fingerprint, made)

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        kept = {self._base(control) for control in controls}
        found = self._node.call("GET", f"/{self._prefix}-*/_alias", dict[str, msgspec.Raw])
        for name in found:
            if name.rpartition("-v")[0] not in kept:
                self._node.call("DELETE", f"/{name}", msgspec.Raw)

    def _base(self, control: IndexControl) -> str:
        return f"{self._prefix}-{control.name}-{control.created_seq}"


class OpenSearchStorage:
    """`searchsvc.engine.IndexStorage` of one index. The node keeps all that is written, so nothing is left to save."""

    def __init__(
        self,
        node: Node,
        base: str,
        settings: IndexSettings,
        dimension: int,
        fingerprint: str,
        made: dict[str, object],
    ) -> None:
        self._node = node
        self._base = base
        self._settings = settings
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._made = made

    def open(self) -> OpenSearchEngine:
        """The index that is searched where it was made by the same settings and model, else a new one."""
        name = self._searched()
        if name is None:
            name = self._new()
        engine = OpenSearchEngine(self._node, name, self._settings, self._dimension)
        engine.restore()
        return engine

    def save(self) -> None:
        pass

    def compacted(self, encoded: Callable[[list[Upsert]], Sequence[Upsert | Delete]]) -> None:
        """The node tidies up by itself."""
        return

    def _searched(self) -> str | None:
        try:
            found = self._node.call("GET", f"/{self._base}-r/_mapping", dict[str, replies.MappingOf])
        except NotFound:
            return None
        for name, one in found.items():
            if one.mappings.meta.fingerprint == self._fingerprint:
                return name
            log.warning("%s was made by other settings or another model: it is built anew from the log", name)
        return None

    def _new(self) -> str:
        """A concrete index, behind both aliases in place of any before it."""
        before = self._node.call("GET", f"/{self._base}-v*/_alias", dict[str, msgspec.Raw])
        numbers = [int(name.rpartition("-v")[2]) for name in before]
        name = f"{self._base}-v{max(numbers, default=0) + 1}"
        self._node.call("PUT", f"/{name}", msgspec.Raw, self._made)
        actions = [{"remove_index": {"index": one}} for one in before]
        actions += [{"add": {"index": name, "alias": f"{self._base}-{role}"}} for role in "rw"]
        self._node.call("POST", "/_aliases", msgspec.Raw, {"actions": actions})
        return name


def _fingerprint(settings: IndexSettings, model: str) -> str:
    """Of all that an index was made by: where it differs, documents have to be written again."""
    made = msgspec.json.encode([mapping.SCHEMA, settings, model])
    return hashlib.sha256(made).hexdigest()[:16]
