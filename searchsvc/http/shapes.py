"""What the API sends and receives, beside what `search` and `intake` define."""

from __future__ import annotations

import msgspec

from events.control import Change, IndexControl, control_hash
from events.digest import DocumentsDigest, state_hash
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from searchsvc.dead import DeadLetter
from searchsvc.documents import RefusedDocument
from searchsvc.engine import EngineSnapshot
from searchsvc.serving import ServingState


class IndexInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of an index, as in `events.settings.IndexSettings`, and why."""

    searchable: tuple[SearchableField, ...]
    title: str
    embedding: Embedding | None = None
    signals: tuple[Signal, ...] = ()
    reason: str = ""

    def settings(self) -> IndexSettings:
        return IndexSettings(self.searchable, self.title, self.embedding, self.signals)


class IndexInfo(msgspec.Struct, frozen=True):
    """One index as it is served. state: ready, building, or failed (then `error` says why)."""

    name: str
    state: str
    settings: IndexSettings
    weights: dict[str, float]
    weights_version: int
    config_version: int
    created_seq: int
    n_documents: int
    applied_catalog_seq: int
    generation: str
    error: str = ""


class IndexList(msgspec.Struct, frozen=True):
    indexes: list[IndexInfo]


class IndexChanged(msgspec.Struct, frozen=True):
    seq: int
    index: IndexInfo | None


class DocumentsAccepted(msgspec.Struct, frozen=True):
    """catalog_seq: every accepted document is searchable once the index has applied this. created: settings of the
    index, where these documents created it."""

    accepted: int
    refused: list[RefusedDocument]
    catalog_seq: int
    created: IndexSettings | None = None


class DocumentDeletedAnswer(msgspec.Struct, frozen=True):
    catalog_seq: int


class WeightsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names not given keep their weight. expected_version: refuse (409) where another change came first."""

    weights: dict[str, float]
    reason: str = ""
    expected_version: int | None = None


class WeightsInfo(msgspec.Struct, frozen=True):
    index: str
    version: int
    weights: dict[str, float]
    min_weight: float
    max_weight: float


class WeightsChangedAnswer(msgspec.Struct, frozen=True):
    version: int
    seq: int
    weights: dict[str, float]


class WeightsHistory(msgspec.Struct, frozen=True):
    """Newest first."""

    index: str
    changes: list[Change]


class IndexState(msgspec.Struct, frozen=True):
    """created_seq: the CONTROL message that created the index. documents: what is served, as of applied_catalog_seq."""

    created_seq: int
    applied_catalog_seq: int
    documents: DocumentsDigest


class StateInfo(msgspec.Struct, frozen=True):
    """seq: of CONTROL. chain: hash of its messages up to there. control_hash: of the state folded from them.

    indexes: those that are served. state_hash: over all of it; '' while an index is being built.
    """

    seq: int
    chain: str
    control_hash: str
    indexes: dict[str, IndexState]
    state_hash: str


class ErasureInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """user_token: as the website sends it with searches and events."""

    user_token: str


class Erased(msgspec.Struct, frozen=True):
    """n_keys: how many of the user's keys were destroyed; 0 where nothing of them was known."""

    n_keys: int


class DeadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """index, key: only events of that index, of that ranking."""

    index: str = ""
    key: str = ""


class DeadList(msgspec.Struct, frozen=True):
    """Oldest first."""

    dead: list[DeadLetter]


class ReplayInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """ids: of refused events; without any, all of `index` and `key`, where given."""

    ids: list[str] = []
    index: str = ""
    key: str = ""


class EventsAccepted(msgspec.Struct, frozen=True):
    """ids: of every event, in order; all are on disk."""

    accepted: int
    ids: list[str]


def state_info(state: ServingState) -> StateInfo:
    control = state.control
    digests = {name: snapshot.digest for name, snapshot in state.snapshots.items() if name in control.indexes}
    return StateInfo(
        seq=control.seq,
        chain=control.chain,
        control_hash=control_hash(control),
        indexes={
            name: IndexState(control.index(name).created_seq, state.snapshots[name].catalog_seq, digest)
            for name, digest in sorted(digests.items())
        },
        state_hash=state_hash(control, digests) if len(digests) == len(control.indexes) else "",
    )


def index_info(control: IndexControl, snapshot: EngineSnapshot | None, error: str) -> IndexInfo:
    return IndexInfo(
        name=control.name,
        state="failed" if error else "ready" if snapshot else "building",
        settings=control.settings,
        weights=dict(control.weights),
        weights_version=control.weights_version,
        config_version=control.config_version,
        created_seq=control.created_seq,
        n_documents=snapshot.n_documents if snapshot else 0,
        applied_catalog_seq=snapshot.catalog_seq if snapshot else 0,
        generation=snapshot.generation if snapshot else "",
        error=error,
    )
