"""One concrete index of a node. Others may delete it at any time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from events.errors import NotFound, Unavailable
from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.failures import BUSY
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.replies import Searched

T = TypeVar("T")
S = TypeVar("S", bound=replies.FromShards)
BUSY_PAUSES_S: Final = (0.1, 0.4, 1.6)
# A node takes up to 100 MB at once, but encoding more than this would block the client's loop.
BULK_BYTES: Final = 1_000_000
GONE_RETRY_S: Final = 5.0


class ConcreteIndex:
    """Requests to an index by its name.

    gone: whether the node has said that the index does not exist
    """

    def __init__(self, node: Node, name: str, n_shards: int = 1) -> None:
        self.node = node
        self.name = name
        self.n_shards = n_shards
        self.gone = False

    def call(
        self,
        method: str,
        path: str,
        reply: type[T],
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """Send a request as `Node.call` does.

        Raises Unavailable if the index is gone. Not for paths that answer 404 for another reason.
        """
        try:
            return self.node.call(method, f"/{self.name}{path}", reply, body, query=query, timeout_s=timeout_s)
        except NotFound as error:
            raise self._is_gone() from error

    def search(self, bodies: Sequence[object], *, timeout_s: float | None = None) -> list[Searched]:
        """Send searches as `Node.search` does. Raises Unavailable if the index is gone."""
        try:
            return self.node.search(self.name, bodies, n_shards=self.n_shards, timeout_s=timeout_s)
        except NotFound as error:
            raise self._is_gone() from error

    def ask_all(self, path: str, reply: type[S], body: object) -> S:
        """Send a search that every shard must answer. Raises as `call` does, and Unavailable if one did not."""
        answer = self.call("POST", path, reply, body)
        if not answer.is_whole:
            raise Unavailable(f"not all shards of {self.name} answered")
        return answer

    def health(self) -> str:
        """Return green, yellow or red."""
        return self.node.call("GET", f"/_cluster/health/{self.name}", replies.Health).status

    def documents(
        self, ids: Sequence[str], fields: Sequence[str], *, timeout_s: float | None = None
    ) -> list[replies.Got]:
        """Return some members of documents. ids: the node's, see `mapping.node_id`. Raises as `call` does."""
        body = {"docs": [{"_id": node_id, "_source": list(fields)} for node_id in ids]}
        documents = self.call("POST", "/_mget", replies.GotAll, body, timeout_s=timeout_s).docs
        failure = next((document.error for document in documents if document.error is not None), None)
        if failure is not None:
            # `_mget` reports a missing index for each document instead of answering 404.
            if failure.type == "index_not_found_exception":
                raise self._is_gone()
            raise Unavailable(f"OpenSearch cannot read from {self.name}: {failure.type}: {failure.reason}")
        return documents

    def refresh(self) -> None:
        """Make all that was written searchable."""
        self.call("POST", "/_refresh", msgspec.Raw)

    def write(self, changes: Sequence[bytes]) -> list[replies.Written]:
        """Write changes and return the outcome of each. They are searchable after `refresh`.

        Changes are sent again while the node is too busy. It ignores those that it already has, by their version.

        changes: the lines of each as `_bulk` takes them
        """
        outcomes: list[replies.Written] = []
        for lines in _batches(changes):
            for pause_s in (*BUSY_PAUSES_S, None):
                answer = self.call("POST", "/_bulk", replies.WrittenAll, lines)
                batch = [written for item in answer.items for written in item.values()]
                if pause_s is None or not any(written.status == BUSY for written in batch):
                    break
                time.sleep(pause_s)
            outcomes += batch
        return outcomes

    def _is_gone(self) -> Unavailable:
        self.gone = True
        message = f"{self.name} is gone from OpenSearch: it is rebuilt from the log"
        return Unavailable(message, retry_after_s=GONE_RETRY_S)


def _batches(changes: Sequence[bytes]) -> Iterator[bytes]:
    """Join changes to as few requests as `BULK_BYTES` allows."""
    lines, n_bytes = list[bytes](), 0
    for change in changes:
        if lines and n_bytes + len(change) > BULK_BYTES:
            yield b"".join(lines)
            lines, n_bytes = [], 0
        lines.append(change)
        n_bytes += len(change)
    if lines:
        yield b"".join(lines)
