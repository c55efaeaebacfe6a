"""The state of a cluster and of our indexes on it, for `doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.clauses import LIVE
from searchsvc.engines.opensearch.node import Node

KNN_PLUGIN: Final = "opensearch-knn"


class Version(msgspec.Struct):
    number: str


class Root(msgspec.Struct):
    cluster_name: str
    version: Version


class Plugin(msgspec.Struct):
    """A plugin of one node.

    name: name of the node
    component: name of the plugin
    """

    name: str
    component: str


class Token(msgspec.Struct):
    token: str
    position: int


class Analyzed(msgspec.Struct):
    tokens: list[Token]


class NodeName(msgspec.Struct):
    name: str


class Aliases(msgspec.Struct):
    aliases: dict[str, msgspec.Raw] = {}


class IndexStatus(msgspec.Struct, frozen=True):
    """A concrete index.

    name: of the concrete index
    index: name of the service's index
    created_seq: CONTROL sequence that created that index
    aliases: that lead to it
    catalog_seq: how much of CATALOG it contains
    analyzes: whether the node splits our texts as they are meant
    """

    name: str
    index: str
    created_seq: int
    aliases: list[str]
    documents: int
    catalog_seq: int
    analyzes: bool


class ClusterStatus(msgspec.Struct, frozen=True):
    """A cluster.

    health: green, yellow or red
    knn: whether every node has the k-NN plugin
    """

    cluster: str
    version: str
    health: str
    nodes: int
    plugins: list[str]
    knn: bool
    indexes: list[IndexStatus]


def status(node: Node, prefix: str) -> ClusterStatus:
    """Return the state of the cluster. prefix: of our indexes. Raises what `Node.call` does."""
    root = node.call("GET", "/", Root)
    health = node.call("GET", "/_cluster/health", replies.Health)
    plugins = _plugins(node)
    aliases = node.call("GET", f"/{prefix}-*/_alias", dict[str, Aliases])
    return ClusterStatus(
        root.cluster_name,
        root.version.number,
        health.status,
        health.number_of_nodes,
        sorted({plugin.component for plugin in plugins}),
        _is_everywhere(node, plugins),
        [_index_status(node, prefix, name, sorted(listed.aliases)) for name, listed in sorted(aliases.items())],
    )


def has_knn(node: Node) -> bool:
    """Return whether every node of the cluster can search vectors."""
    return _is_everywhere(node, _plugins(node))


def _index_status(node: Node, prefix: str, name: str, aliases: list[str]) -> IndexStatus:
    count = node.call("POST", f"/{name}/_count", replies.Count, {"query": LIVE}).count
    progress = {"docs": [{"_id": mapping.PROGRESS_ID, "_source": ["state"]}]}
    catalog_seq = node.call("POST", f"/{name}/_mget", replies.GotAll, progress).docs[0].source.state.catalog_seq
    index, _, created_seq = name.removeprefix(f"{prefix}-").rpartition("-v")[0].rpartition("-")
    return IndexStatus(name, index, int(created_seq or 0), aliases, count, catalog_seq, _analyzes(node, name))


def _analyzes(node: Node, name: str) -> bool:
    body = {"analyzer": mapping.STEMS, "text": f"one{mapping.SAME_POSITION}two three"}
    tokens = node.call("POST", f"/{name}/_analyze", Analyzed, body).tokens
    return [(token.token, token.position) for token in tokens] == [("one", 0), ("two", 0), ("three", 1)]


def _is_everywhere(node: Node, plugins: Sequence[Plugin]) -> bool:
    """Return whether every node has the k-NN plugin."""
    nodes = node.call("GET", "/_cat/nodes", list[NodeName], query={"format": "json", "h": "name"})
    return {listed.name for listed in nodes} <= {plugin.name for plugin in plugins if plugin.component == KNN_PLUGIN}


def _plugins(node: Node) -> list[Plugin]:
    return node.call("GET", "/_cat/plugins", list[Plugin], query={"format": "json"})
