"""A node without a server: it records requests and answers them with prepared JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from events.errors import NotFound
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.replies import Searched

T = TypeVar("T")
Answer = Callable[[str, str, Any], Any]
WHOLE = {"_shards": {"failed": 0}, "timed_out": False}


class FakeNode(Node):
    """Answers each request with `answer(method, path, body)`: JSON as Python values; None is a 404."""

    def __init__(self, answer: Answer) -> None:
        self.timeout_s = 1.0
        self.requests: list[tuple[str, str, Any]] = []
        self._answer = answer

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
        del query, timeout_s
        self.requests.append((method, path, body))
        answer = self._answer(method, path, body)
        if answer is None:
            raise NotFound(f"nothing for {path}")
        return msgspec.json.decode(msgspec.json.encode(answer), type=reply)

    def search(
        self, index: str, bodies: Sequence[object], *, n_shards: int = 1, timeout_s: float | None = None
    ) -> list[Searched]:
        del n_shards
        return [self.call("POST", f"/{index}/_search", Searched, body, timeout_s=timeout_s) for body in bodies]
