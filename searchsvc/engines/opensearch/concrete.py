"""One concrete index of a node, which somebody else may delete."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from events.errors import NotFound, Unavailable
from searchsvc.engines.opensearch import replies
from searchsvc.engines.opensearch.node import BUSY, Node
from searchsvc.engines.opensearch.replies import Searched

T = TypeVar("T")
W = TypeVar("W", bound=replies.FromShards)
PAUSES_S: Final = (0.1, 0.4, 1.6)
# A node takes no more than 100 MB at once; the client's loop would be held by more than one.
BULK_BYTES: Final = 1_000_000


class ConcreteIndex:
    """Requests to an index by its name. gone: whether the node said that it does not know it."""

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
        """As `Node.call`, and Unavailable where the index is gone: not for what answers 404 without that."""
        try:
            return self.node.call(method, f"/{self.name}{path}", reply, body, query=query, timeout_s=timeout_s)
        except NotFound as error:
            raise self._is_gone() from error

    def search(self, bodies: Sequence[object], *, timeout_s: float | None = None) -> list[Searched]:
        """As `Node.search`, and Unavailable where the index is gone."""
        try:
            return self.node.search(self.name, bodies, n_shards=self.n_shards, timeout_s=timeout_s)
        except NotFound as error:
            raise self._is_gone() from error

    def ask_all(self, path: str, reply: type[W], body: object) -> W:
        """A search of which every shard has to have its say. Raises as `call` does, and Unavailable where one has
        not."""
        found = self.call("POST", path, reply, body)
        if not found.is_whole:
            raise Unavailable(f"not all shards of {self.name} answered")
        return found

    def health(self) -> str:
        """green, yellow or red."""
        return self.node.call("GET", f"/_cluster/health/{self.name}", replies.Health).status

    def documents(
        self, ids: Sequence[str], fields: Sequence[str], *, timeout_s: float | None = None
    ) -> list[replies.Got]:
        """Some members of documents, by the node's ids, in order. Raises as `call` does."""
        asked = {"docs": [{"_id": one, "_source": list(fields)} for one in ids]}
        got = self.call("POST", "/_mget", replies.GotAll, asked, timeout_s=timeout_s).docs
        failure = next((one.error for one in got if one.error is not None), None)
        if failure is not None:
            # Said of each document, and not of the request.
            if failure.type == "index_not_found_exception":
                raise self._is_gone()
            raise Unavailable(f"OpenSearch cannot read from {self.name}: {failure.type}: {failure.reason}")
        return got

    def refresh(self) -> None:
        """Let all that was written be found."""
        self.call("POST", "/_refresh", msgspec.Raw)

    def write(self, changes: Sequence[bytes]) -> list[replies.Written]:
        """What became of each of some changes, each as `_bulk` has it; they are found once it is refreshed. What the
        node is too busy for is sent again; a change that is not newer than what it has, it knows by its version."""
        written: list[replies.Written] = []
        for lines in _cut(changes):
            for pause_s in (*PAUSES_S, None):
                said = self.call("POST", "/_bulk", replies.WrittenAll, lines)
                became = [one for item in said.items for one in item.values()]
                if pause_s is None or not any(one.status == BUSY for one in became):
                    break
                time.sleep(pause_s)
            written += became
        return written

    def _is_gone(self) -> Unavailable:
        self.gone = True
        return Unavailable(f"{self.name} is gone from OpenSearch: it is built again from the log", retry_after_s=5.0)


def _cut(changes: Sequence[bytes]) -> Iterator[bytes]:
    """In as few requests as their size allows."""
    lines, n_bytes = list[bytes](), 0
    for change in changes:
        if lines and n_bytes + len(change) > BULK_BYTES:
            yield b"".join(lines)
            lines, n_bytes = [], 0
        lines.append(change)
        n_bytes += len(change)
    if lines:
        yield b"".join(lines)
