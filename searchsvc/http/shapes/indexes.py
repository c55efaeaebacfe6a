"""Indexes and their rebuilds."""

from __future__ import annotations

import msgspec

from events.settings import IndexSettings
from searchsvc.indexing.rebuild import RebuildStatus
from searchsvc.service.indexes import ServedIndex


class IndexInput(IndexSettings, frozen=True, forbid_unknown_fields=True):
    """The settings of an index, and the reason for them."""

    reason: str = ""

    def settings(self) -> IndexSettings:
        """Return the settings without the reason."""
        return IndexSettings(**{name: getattr(self, name) for name in IndexSettings.__struct_fields__})


class IndexInfo(msgspec.Struct, frozen=True):
    """One index as it is served.

    state: ready, building or failed
    applied_catalog_seq: last CATALOG sequence that searches see
    error: why the state is failed; '' otherwise
    refused: by id, why an OpenSearch cluster did not take a stored document; the last hundred
    rebuild: the last rebuild since the start, which may be in progress; null without one
    """

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
    refused: dict[str, str] = {}
    rebuild: RebuildStatus | None = None

    @staticmethod
    def from_served(served: ServedIndex) -> IndexInfo:
        """Describe an index."""
        control, snapshot = served.control, served.snapshot
        return IndexInfo(
            name=control.name,
            state="failed" if served.error else "ready" if snapshot else "building",
            settings=control.settings,
            weights=dict(control.weights),
            weights_version=control.weights_version,
            config_version=control.config_version,
            created_seq=control.created_seq,
            n_documents=snapshot.n_documents if snapshot else 0,
            applied_catalog_seq=snapshot.catalog_seq if snapshot else 0,
            generation=snapshot.generation if snapshot else "",
            error=served.error,
            refused=dict(snapshot.refusals) if snapshot else {},
            rebuild=served.rebuild,
        )


class IndexList(msgspec.Struct, frozen=True):
    """Indexes, by name.

    next_after: `after` of the next page; null if this is the last one
    """

    indexes: list[IndexInfo]
    next_after: str | None = None


class IndexChanged(msgspec.Struct, frozen=True):
    """A change of an index, already served.

    seq: CONTROL sequence of the change
    index: null if it was deleted
    """

    seq: int
    index: IndexInfo | None


class ReindexInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to rebuild an index.

    previous: go back to the index before the last rebuild, brought up to date, instead of building a new one
    force: replace the index even if the canary queries find other hits
    """

    previous: bool = False
    force: bool = False
