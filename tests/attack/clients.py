"""Clients of a service under attack. Each remembers what it was told, so that it can be checked afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from contextlib import suppress
from typing import Any, Final

import nats.aio.client
import nats.errors
import nats.js.errors

from events.errors import Unavailable
from events.server import read_address
from tests.attack.arena import RETRIED, Arena

WORDS: Final = (
    "lamp",
    "lampshade",
    "desk",
    "chair",
    "blue",
    "green",
    "oak",
    "steel",
    "small",
    "large",
    "notebook",
    "cable",
)
MAX_BATCH: Final = 40
N_IMPORTED: Final = 1000
PUBLISH_TIMEOUT_S: Final = 5.0


class Client(threading.Thread):
    """Repeats `once` until the attack is over."""

    def __init__(self, arena: Arena, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.arena = arena
        self.rng = random.Random(f"{name} {arena.rng.random()}")

    def once(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        while not self.arena.over.is_set():
            try:
                self.once()
            except Unavailable:
                return  # noted as a violation
            except Exception as error:
                self.arena.violated(f"client {self.name}: {error!r}")
                return


class Writer(Client):
    """Alone writes an index. After each call that was acknowledged, what the index holds is known.

    documents: by id, what the index holds
    catalog_seq: of the last acknowledged write
    changes: reasons of changes of weights that were acknowledged
    unsure: reasons of those that may have been made
    """

    def __init__(self, arena: Arena, index: str) -> None:
        super().__init__(arena, f"writer of {index}")
        self.index = index
        self.documents: dict[str, dict[str, Any]] = {}
        self.catalog_seq = 0
        self.changes: set[str] = set()
        self.unsure: set[str] = set()
        self._n = 0

    def once(self) -> None:
        path = f"/v1/indexes/{self.index}"
        action = self.rng.choices(
            (self._upsert, self._patch, self._delete_documents, self._import, self._change_weights, self._delete_index),
            (30, 20, 15, 1, 10, 1),
        )[0]
        if self.documents or action == self._import:
            action(path)
        else:
            self._upsert(path)
        time.sleep(self.rng.random() * 0.2)

    def _document(self) -> dict[str, Any]:
        self._n += 1
        number = self.rng.randrange(500)
        title = " ".join(self.rng.choices(WORDS, k=4))
        return {"id": f"{self.index}/{number}", "title": title, "n": self._n, "stock": self.rng.randrange(9)}

    def _write(self, path: str, documents: list[dict[str, Any]]) -> None:
        _, answer = self.arena.insist("POST", f"{path}/documents", documents)
        self.catalog_seq = answer["catalog_seq"]
        self.documents.update({document["id"]: document for document in documents})

    def _upsert(self, path: str) -> None:
        self._write(path, [self._document() for _ in range(self.rng.randrange(1, MAX_BATCH))])

    def _import(self, path: str) -> None:
        self._write(path, [{**self._document(), "id": f"imported-{i}"} for i in range(N_IMPORTED)])

    def _patch(self, path: str) -> None:
        ids = self.rng.sample(sorted(self.documents), min(10, len(self.documents)))
        self._n += 1
        patches = [{"id": document_id, "stock": self._n} for document_id in ids]
        _, answer = self.arena.insist("PATCH", f"{path}/documents", patches)
        self.catalog_seq = answer["catalog_seq"]
        for document_id in ids:
            self.documents[document_id] = {**self.documents[document_id], "stock": self._n}

    def _delete_documents(self, path: str) -> None:
        ids = self.rng.sample(sorted(self.documents), min(10, len(self.documents)))
        _, answer = self.arena.insist("POST", f"{path}/documents/delete", {"ids": ids})
        self.catalog_seq = max(self.catalog_seq, answer["catalog_seq"] or 0)
        for document_id in ids:
            del self.documents[document_id]

    def _change_weights(self, path: str) -> None:
        """Change weights once: unlike documents, a change that is sent again may be made again."""
        self._n += 1
        reason = f"{self.index} {self._n}"
        status, answer = self.arena.call(
            "PUT", f"{path}/weights", {"weights": {"cosine": self._n % 9}, "reason": reason}
        )
        if status == 200:
            self.changes.add(reason)
        elif status in RETRIED:
            self.unsure.add(reason)
        else:
            self.arena.violated(f"a change of weights was answered {status}: {answer}")

    def _delete_index(self, path: str) -> None:
        self.arena.insist("DELETE", path, accepted=(200, 404))
        self.documents = {}


class Shopper(Client):
    """Searches and clicks. Each event is sent until it is acknowledged.

    events: ids of the acknowledged
    statuses: how often each status was the answer to a search
    """

    def __init__(self, arena: Arena, name: str, indexes: list[str]) -> None:
        super().__init__(arena, name)
        self.indexes = indexes
        self.events: set[str] = set()
        self.statuses: dict[int, int] = {}
        self.unanswered: list[tuple[float, int, Any]] = []
        self._n = 0

    def once(self) -> None:
        index = self.rng.choice(self.indexes)
        query = {"query": " ".join(self.rng.choices(WORDS, k=2)), "facets": ["stock"], "explain": self._n % 10 == 0}
        sent = time.monotonic()
        status, answer = self.arena.call("POST", f"/v1/indexes/{index}/search", query)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200 and answer["hits"]:
            self._click(index, answer["query_id"], answer["hits"][0]["id"])
        elif status not in (200, 404):
            self.unanswered.append((sent, status, answer))
        time.sleep(self.rng.random() * 0.1)

    def _click(self, index: str, query_id: str, document_id: str) -> None:
        self._n += 1
        event_id = f"{self.name}-{self._n}"
        event = {"id": event_id, "type": "click", "index": index, "query_id": query_id, "document_id": document_id}
        # Refused if the index was deleted meanwhile.
        if self.arena.insist("POST", "/v1/events", {"events": [event]}, accepted=(202, 400))[0] == 202:
            self.events.add(event_id)


class Publisher(Client):
    """Another system, which publishes events over NATS. events: ids of those that the server acknowledged"""

    def __init__(self, arena: Arena, name: str, index: str) -> None:
        super().__init__(arena, name)
        self.index = index
        self.events: set[str] = set()
        self._n = 0

    def once(self) -> None:
        self._n += 1
        event_id = f"{self.name}-{self._n}"
        payload = json.dumps({"id": event_id, "type": "click", "document_id": f"{self.index}/1"}).encode()
        failed = (OSError, TimeoutError, ValueError, nats.errors.Error, nats.js.errors.Error)
        while not self.arena.over.is_set():
            with suppress(*failed):
                asyncio.run(asyncio.wait_for(self._publish(payload), 2 * PUBLISH_TIMEOUT_S))
                self.events.add(event_id)
                break
            time.sleep(0.2)
        time.sleep(0.2 + self.rng.random() * 0.3)

    async def _publish(self, payload: bytes) -> None:
        address = read_address(self.arena.data_dir)
        account = address.accounts["ingest"]
        client = nats.aio.client.Client()
        try:
            # Closed also if it is connected halfway.
            await client.connect(
                address.url, user=account.user, password=account.password, allow_reconnect=False, error_cb=_quiet
            )
            await client.jetstream(timeout=PUBLISH_TIMEOUT_S).publish(f"ingest.{self.index}", payload)
        finally:
            await client.close()


class Vandal(Client):
    """Deletes an index again and again while documents are written to it. What it holds is not checked."""

    def once(self) -> None:
        path = "/v1/indexes/volatile"
        for _ in range(self.rng.randrange(1, 8)):
            status, answer = self.arena.call(
                "POST", f"{path}/documents", [{"id": str(i), "title": "oak"} for i in range(50)]
            )
            if status not in (200, 404, 409, *RETRIED):
                self.arena.violated(f"a write to an index that is deleted was answered {status}: {answer}")
        self.arena.call("DELETE", path)
        time.sleep(self.rng.random())


async def _quiet(_: Exception) -> None:
    pass
