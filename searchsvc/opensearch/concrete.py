"""One concrete index of a node, which somebody else may delete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from events.errors import NotFound, Unavailable
from searchsvc.opensearch import replies
from searchsvc.opensearch.node import BUSY, Node
from searchsvc.opensearch.replies import Searched

T = TypeVar("T")
PAUSES_S: Final = (0.1, 0.4, 1.6)


class ConcreteIndex:
    """Requests to an index by its name. gone: whether the node said that it does not know it."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name
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
            return self.node.search(self.name, bodies, timeout_s=timeout_s)
        except NotFound as error:
            raise self._is_gone() from error

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

    def write(self, lines: bytes) -> list[replies.Written]:
        """What became of each of some changes, as `_bulk` has them, once they can be found. What the node is too busy
        for is sent again; a change that is not newer than what it has, it knows by its version."""
        for pause_s in (*PAUSES_S, None):
            said = self.call("POST", "/_bulk", replies.WrittenAll, lines, query={"refresh": "true"})
            written = [one for item in said.items for one in item.values()]
            if pause_s is None or not any(one.status == BUSY for one in written):
                break
            time.sleep(pause_s)
        return written

    def _is_gone(self) -> Unavailable:
        self.gone = True
        return Unavailable(f"{self.name} is gone from OpenSearch: it is built again from the log", retry_after_s=5.0)
