"""What a cluster is and holds of ours: for who looks after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.node import Node

KNN: Final = "opensearch-knn"


class Version(msgspec.Struct):
    number: str


class Root(msgspec.Struct):
    cluster_name: str
    version: Version


class Plugin(msgspec.Struct):
    """name: of the node that has it."""

    name: str
    component: str


class Token(msgspec.Struct):
    token: str
    position: int


class Analysed(msgspec.Struct):
    tokens: list[Token]


class Named(msgspec.Struct):
    name: str


class Aliased(msgspec.Struct):
    aliases: dict[str, msgspec.Raw] = {}


class IndexStatus(msgspec.Struct, frozen=True):
    """name: the concrete index. index, created_seq: which of ours it is of. aliases: that lead to it. catalog_seq: how
    much of CATALOG it holds. analyses: whether it splits what we write as we mean it."""

    name: str
    index: str
    created_seq: int
    aliases: list[str]
    documents: int
    catalog_seq: int
    analyses: bool


class ClusterStatus(msgspec.Struct, frozen=True):
    """health: green, yellow or red."""

    cluster: str
    version: str
    health: str
    nodes: int
    plugins: list[str]
    knn: bool
    indexes: list[IndexStatus]


def status(node: Node, prefix: str) -> ClusterStatus:
    """prefix: of our indexes. Raises what `Node.call` does."""
    root = node.call("GET", "/", Root)
    health = node.call("GET", "/_cluster/health", replies.Health)
    plugins = _plugins(node)
    aliased = node.call("GET", f"/{prefix}-*/_alias", dict[str, Aliased])
    indexes = []
    for name, one in sorted(aliased.items()):
        live = {"query": {"term": {"live": True}}}
        count = node.call("POST", f"/{name}/_count", replies.Count, live)
        progress = node.call(
            "POST", f"/{name}/_mget", replies.GotAll, {"docs": [{"_id": mapping.PROGRESS_ID, "_source": ["state"]}]}
        )
        seq = progress.docs[0].source.state.catalog_seq
        index, _, created = name.removeprefix(f"{prefix}-").rpartition("-v")[0].rpartition("-")
        indexes.append(
            IndexStatus(name, index, int(created or 0), sorted(one.aliases), count.count, seq, _analyses(node, name))
        )
    return ClusterStatus(
        root.cluster_name,
        root.version.number,
        health.status,
        health.number_of_nodes,
        sorted({plugin.component for plugin in plugins}),
        _is_everywhere(node, plugins),
        indexes,
    )


def _analyses(node: Node, name: str) -> bool:
    asked = {"analyzer": mapping.STEMS, "text": f"one{mapping.BESIDE}two three"}
    tokens = node.call("POST", f"/{name}/_analyze", Analysed, asked).tokens
    return [(one.token, one.position) for one in tokens] == [("one", 0), ("two", 0), ("three", 1)]


def has_knn(node: Node) -> bool:
    """Whether every node can look for the nearest vectors."""
    return _is_everywhere(node, _plugins(node))


def _is_everywhere(node: Node, plugins: Sequence[Plugin]) -> bool:
    """Whether every node has the k-NN plugin."""
    nodes = {one.name for one in node.call("GET", "/_cat/nodes", list[Named], query={"format": "json", "h": "name"})}
    return nodes <= {plugin.name for plugin in plugins if plugin.component == KNN}


def _plugins(node: Node) -> list[Plugin]:
    return node.call("GET", "/_cat/plugins", list[Plugin], query={"format": "json"})
