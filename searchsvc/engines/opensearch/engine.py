"""The writing side of an index on the node: documents go there; words, totals and attribute kinds are counted here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from events.errors import Unavailable
from events.settings import IndexSettings
from searchsvc.analysis.languages import Languages
from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.attribute_columns import CountedKinds
from searchsvc.engines.opensearch.clauses import REFUSED
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.snapshot import OpenSearchSnapshot
from searchsvc.engines.opensearch.state import IndexState
from searchsvc.engines.opensearch.stored_documents import analyses_of, distinct_words
from searchsvc.engines.opensearch.stored_index import StoredIndex
from searchsvc.engines.opensearch.vectors import ServiceVectors
from searchsvc.engines.opensearch.vocabulary import Vocabulary
from searchsvc.engines.opensearch.writes import Write, prepare, record_progress, send
from searchsvc.engines.protocol import Delete, Upsert

MAX_REFUSALS: Final = 100


class OpenSearchEngine:
    """An `Engine` on a node. Call `restore` before anything else.

    name: of the node's index
    dimension: of vectors, 0 without any
    knn: whether the node searches the vectors; otherwise the service does
    n_shards: of the node's index
    """

    def __init__(
        self, node: Node, name: str, settings: IndexSettings, dimension: int, *, knn: bool = True, n_shards: int = 1
    ) -> None:
        self._index = ConcreteIndex(node, name, n_shards)
        self._settings = settings
        self.dimension = dimension if settings.embedding is not None else 0
        self._knn = knn
        self._vocabulary = Vocabulary(len(settings.searchable), Languages.of_index(settings))
        self._vectors = self._no_vectors()
        self._attribute_kinds = CountedKinds()
        self._progress = replies.Progress(vector_sum=[0.0] * self.dimension)
        self._refusals: dict[str, str] = {}
        self._has_tombstones = True
        # A write of which the node may have some, until it is known to have all.
        self._unfinished: Write | None = None
        self._snapshot = self._new_snapshot()

    @property
    def settings(self) -> IndexSettings:
        return self._settings

    @property
    def name(self) -> str:
        return self._index.name

    def snapshot(self) -> OpenSearchSnapshot:
        return self._snapshot

    @property
    def is_lost(self) -> bool:
        return self._index.gone

    def was_built_from(self, log_created: datetime) -> bool:
        created = log_created.isoformat()
        if not self._progress.log_created:
            self._progress = msgspec.structs.replace(self._progress, log_created=created)
            record_progress(self._index, self._progress)
        return self._progress.log_created == created

    @property
    def needs_maintenance(self) -> bool:
        """Whether there are tombstones, or vectors in parts."""
        return self._has_tombstones or (self._vectors is not None and self._vectors.building)

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Delete the tombstones and merge the vectors.

        CATALOG is read beyond the tombstones by now, so that nothing older comes any more.
        """
        if self._has_tombstones:
            self._delete_tombstones()
        done = self._vectors is None or self._vectors.settle(timeout_s)
        self._snapshot = self._new_snapshot()
        return done

    def restore(self) -> None:
        """Read what the node has of the index.

        Raises Unavailable; at once if shards are missing, because most requests would wait for them.
        """
        if self._index.health() == "red":
            raise Unavailable(f"{self.name} is red: not all of its shards are there")
        self._index.refresh()
        stored = StoredIndex(self._index, self.dimension)
        self._progress = stored.progress()
        self._attribute_kinds = stored.attribute_kinds()
        self._refusals = stored.refusals(MAX_REFUSALS)
        self._progress = self._with_totals(stored)
        self._vocabulary = self._restored_vocabulary(stored)
        self._vectors = self._no_vectors()
        if self._vectors is not None:
            for page in stored.vectors():
                self._vectors.change([], page)
            self._vectors.settle()
        self._snapshot = self._new_snapshot()

    def apply(self, changes: Sequence[Upsert | Delete], catalog_seq: int) -> OpenSearchSnapshot:
        """Make changes visible together.

        Of several changes of one document the last counts; what the node has from a later message stays.

        Raises Unavailable if the node did not confirm all changes; it may have some. The next call sends them again
        before its own.
        """
        if self._unfinished is not None:
            # Fails if the index is gone: a write would create it again, with another mapping.
            self._index.documents([mapping.PROGRESS_ID], ["live"])
            self._complete(self._unfinished)
        write = prepare(self._index, self._settings, changes, catalog_seq, dimension=self.dimension, knn=self._knn)
        self._has_tombstones = self._has_tombstones or write.has_deletions
        self._complete(write)
        return self._snapshot

    def _complete(self, write: Write) -> None:
        """Send a write, then count it. Raises Unavailable: then nothing is counted."""
        self._unfinished = write
        send(self._index, write)
        progress = write.progress_after(self._progress, self.dimension)
        # Only now that all is written: a restart reads CATALOG from the recorded progress on.
        record_progress(self._index, progress)
        # All of the write becomes searchable at the same moment.
        self._index.refresh()
        self._unfinished = None
        self._progress = progress
        self._count(write)
        self._snapshot = self._new_snapshot()

    def _count(self, write: Write) -> None:
        """Update what is counted here."""
        self._vocabulary.remove(self._words_of(source.document.encode()) for source in write.removed)
        self._vocabulary.add(document.words for document in write.added.values())
        upserts = [document.upsert for document in write.added.values()]
        if self._vectors is not None:
            vectors = [(u.id, u.vector) for u in upserts if u.vector is not None and u.vector.any()]
            self._vectors.change([source.id for source in write.removed], vectors)
        self._attribute_kinds.add((msgspec.json.decode(source.document) for source in write.removed), -1)
        self._attribute_kinds.add(upsert.members for upsert in upserts)
        remaining = {name: reason for name, reason in self._refusals.items() if name not in write.seqs}
        self._refusals = dict(list((remaining | write.refusals).items())[-MAX_REFUSALS:])

    def _delete_tombstones(self) -> None:
        older = {"range": {"seq": {"gt": 0, "lte": self._progress.catalog_seq}}}
        deleted = {"bool": {"filter": [{"term": {"live": False}}, older], "must_not": [REFUSED]}}
        query = {"conflicts": "proceed", "refresh": "true"}
        self._index.call("POST", "/_delete_by_query", msgspec.Raw, {"query": deleted}, query=query)
        self._has_tombstones = False

    def _with_totals(self, stored: StoredIndex) -> replies.Progress:
        """Return the recorded progress with the totals of what the node has."""
        progress = self._progress
        if stored.is_ahead_of(progress.catalog_seq):
            totals = stored.recount()
            return msgspec.structs.replace(progress, digest=totals.digest, vector_sum=totals.vector_sum.tolist())
        return msgspec.structs.replace(progress, vector_sum=progress.vector_sum or [0.0] * self.dimension)

    def _restored_vocabulary(self, stored: StoredIndex) -> Vocabulary:
        words, stems = stored.counts("words"), stored.counts("stems")
        by_field = {(int(key.partition(":")[0]), key.partition(":")[2]): n for key, n in stems.items()}
        vocabulary = Vocabulary(len(self._settings.searchable), Languages.of_index(self._settings))
        vocabulary.restore(words, by_field, self._progress.digest.count)
        return vocabulary

    def _no_vectors(self) -> ServiceVectors | None:
        return ServiceVectors(self.dimension) if self.dimension and not self._knn else None

    def _words_of(self, text: bytes) -> list[set[str]]:
        return [distinct_words(analysis) for analysis in analyses_of(msgspec.json.decode(text), self._settings)]

    def _new_snapshot(self) -> OpenSearchSnapshot:
        state = IndexState(
            index=self._index,
            settings=self._settings,
            dimension=self.dimension,
            catalog_seq=self._progress.catalog_seq,
            digest=self._progress.digest,
            vocabulary=self._vocabulary.view(),
            attribute_kinds=self._attribute_kinds.view(),
            vector_sum=np.array(self._progress.vector_sum),
            vectors=self._vectors.view() if self._vectors is not None else None,
            refusals=self._refusals,
        )
        return OpenSearchSnapshot(state)
