"""Small valid values, so that a test spells out only what it is about."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from events import control
from events.chain import GENESIS, link
from events.codec import encode
from events.copy import COPY_NAME, ControlCopy
from events.edits import Edit, SetRule
from events.errors import Unavailable
from events.history import ControlHistory
from events.index_control import IndexControl
from events.log import Record
from events.rules import Rule
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from events.streams import STREAMS, StreamName, StreamSpec
from events.types import ChangePublished, ControlEvent, IndexConfigured, InteractionRecorded, RankingShown
from searchsvc.embedding.embedder import Embedder
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.opensearch import mapping
from searchsvc.engines.opensearch.engine import OpenSearchEngine
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.protocol import EngineSnapshot, Upsert
from searchsvc.indexing.rebuild import RebuildComparison
from searchsvc.state.serving_state import ServingState
from tests.running import RunningService
from tuning.arrays import FloatArray
from tuning.features import default_weights

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# Streams whose limits a test can reach.
SMALL: dict[StreamName, StreamSpec] = {
    **STREAMS,
    "INGEST": msgspec.structs.replace(STREAMS["INGEST"], max_message_bytes=2000, max_bytes=20_000, max_messages=50),
    "DEAD": msgspec.structs.replace(STREAMS["DEAD"], max_bytes=20_000),
}
DIMENSION = 8
SETTINGS = IndexSettings(
    searchable=(SearchableField("title"), SearchableField("text")),
    title="title",
    embedding=Embedding(("title",)),
    signals=(Signal("votes", "identity", 10.0),),
)
# Creates index `shop`.
CONFIGURED = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)


def vector(seed: int) -> FloatArray:
    """Return a random vector of length 1, always the same for a seed."""
    values = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return values / np.linalg.norm(values)


def upsert(document_id: str, title: str, text: str = "", seed: int | None = None, **members: object) -> Upsert:
    members = {"id": document_id, "title": title, "text": text, **members}
    text_bytes = msgspec.json.encode(members)
    return Upsert(document_id, text_bytes, members, vector(seed if seed is not None else zlib.crc32(title.encode())))


def engine(folder: Path, documents: Sequence[Upsert] = (), settings: IndexSettings = SETTINGS) -> EmbeddedEngine:
    """Create an embedded engine with these documents."""
    created = storage.create(folder, settings, DIMENSION)
    created.apply(documents, len(documents))
    return created


def opensearch_engine(
    node: Node,
    documents: Sequence[Upsert] = (),
    settings: IndexSettings = SETTINGS,
    *,
    knn: bool = True,
    n_shards: int = 1,
) -> OpenSearchEngine:
    """Create an OpenSearch engine with these documents, in an index of its own.

    knn: whether the node searches vectors, or the service does
    """
    name = f"test-{uuid.uuid4().hex}"
    node.call("PUT", f"/{name}", msgspec.Raw, mapping.index_body(settings, DIMENSION, knn=knn, n_shards=n_shards))
    created = OpenSearchEngine(node, name, settings, DIMENSION, knn=knn, n_shards=n_shards)
    created.restore()
    created.apply(documents, max(len(documents), 1))
    return created


def ranking(query_id: str = "q1", index: str = "shop", ids: Sequence[str] = ("a", "b", "c")) -> RankingShown:
    return RankingShown(
        id=query_id,
        timestamp=NOW,
        index=index,
        query="red shoe",
        document_ids=tuple(ids),
        feature_names=("bm25.title",),
        features=tuple((0.5,) for _ in ids),
        scores=tuple(1.0 for _ in ids),
        weights_version=1,
        config_version=1,
        applied_seq=1,
    )


def click(event_id: str = "e1", query_id: str | None = "q1", document_id: str = "a") -> InteractionRecorded:
    return InteractionRecorded(
        id=event_id,
        kind="click",
        index="shop",
        document_id=document_id,
        query_id=query_id,
        timestamp=NOW,
        received_at=NOW,
    )


def serving(snapshot: EngineSnapshot, **weights: float) -> ServingState:
    """Make a state that serves a snapshot as index `shop`.

    weights: in place of the default weights; __ stands for a point in a name
    """
    names = {name.replace("__", "."): value for name, value in weights.items()}
    event = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={**default_weights(SETTINGS), **names}
    )
    return ServingState(control.fold(control.ControlState(), event, 1), MappingProxyType({"shop": snapshot}))


def with_rules(state: ServingState, rules: Mapping[str, Rule]) -> ServingState:
    """Return the state with these rules of index `shop`."""
    return edited(state, *(SetRule(name, rule) for name, rule in rules.items()))


def edited(state: ServingState, *edits: Edit) -> ServingState:
    """Return the state with index `shop` edited."""
    event = ChangePublished(id="edits", timestamp=NOW, index="shop", actor="ada", edits=edits)
    return ServingState(control.fold(state.control, event, state.control.seq + 1), state.snapshots)


def index_after(*changes: Sequence[Edit]) -> IndexControl:
    """Return index `shop` after some changes, one after another; CONTROL 1 created it."""
    state = control.fold(control.ControlState(), CONFIGURED, 1)
    for seq, edits in enumerate(changes, start=2):
        event = ChangePublished(id=str(seq), timestamp=NOW, index="shop", edits=tuple(edits))
        state = control.fold(state, event, seq)
    return state.index("shop")


def history_of(folder: Path, events: Sequence[ControlEvent]) -> ControlHistory:
    """Return the history of a service whose CONTROL is these events, one a minute after `NOW`."""
    copy, chain = ControlCopy(folder / COPY_NAME), GENESIS
    for seq, event in enumerate(events, start=1):
        data = encode(event)
        chain = link(chain, data)
        copy.confirm(Record("CONTROL", "control.shop", seq, NOW + timedelta(minutes=seq), data, event.id), chain)
    copy.close()
    return ControlHistory(copy)


def no_history(folder: Path) -> ControlHistory:
    """Return the history of a service in which nothing has happened."""
    copy = ControlCopy(folder / COPY_NAME)
    copy.close()
    return ControlHistory(copy)


def call(
    service: RunningService, method: str, path: str, body: object = None, *, status: int = 200, actor: str = ""
) -> Any:
    """Call a running service and return its answer, whose status must be this one."""
    actual, answer = service.call(method, path, body, actor=actor)
    assert actual == status, answer
    return answer


class FakeEmbedder(Embedder):
    """Encodes queries without a model, and knows every word; fails for `broken`.

    queries, all_cores: what it was called with
    """

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.all_cores: list[bool] = []

    def cached(self, query: str) -> FloatArray | None:
        return None

    def knows(self, word: str) -> bool:
        return True

    def encode_query(self, query: str, *, all_cores: bool = False) -> FloatArray:
        self.queries.append(query)
        self.all_cores.append(all_cores)
        if query == "broken":
            raise Unavailable("the embedding model failed")
        return vector(int(query.split()[-1]) if query.split()[-1].isdigit() else 99)


def alike(index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
    """Compare nothing: for rebuilds in tests that are not about canaries."""
    return RebuildComparison(before.n_documents, after.n_documents, 0, 1.0, [])
