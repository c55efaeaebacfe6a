"""Statistics over a whole index, measured again when enough of its documents have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from events.digest import DocumentsDigest
from searchsvc.analysis.adjacent_words import AdjacentWords, adjacent_words
from searchsvc.analysis.title_heads import find_heads
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.neighbour_cut import measure_cut
from searchsvc.state.serving_state import Measurements
from tuning.arrays import FloatArray

# Measure again when more than this share of the documents has changed since the last measurement.
CHANGED_SHARE: Final = 0.5
# The same for titles while no documents arrive. The cut is then measured after every change.
QUIET_CHANGED_SHARE: Final = 0.02
# At most so many titles are read. A larger catalogue would say the same of its frequent words.
N_TITLES: Final = 20_000
# Raise it when something else is measured, or in another way: measurements of another version are made again.
VERSION: Final = 2


class IndexAge(msgspec.Struct, frozen=True):
    """The state of an index when it was measured.

    generation: see `EngineSnapshot.generation`; '' for never
    n_changes: documents that were written and deleted until then, as `Measurer` counts them
    """

    generation: str = ""
    n_documents: int = 0
    n_changes: int = 0


class StoredMeasurements(msgspec.Struct, frozen=True):
    """Measurements of an index, and the documents for which they hold.

    version: see `VERSION`
    generation, documents: of the index
    cut_age, titles_age: when these were measured
    n_changes: until now
    The other members: see `Measurements`
    """

    version: int
    generation: str
    documents: DocumentsDigest
    cut_age: IndexAge
    titles_age: IndexAge
    n_changes: int
    neighbour_cut: float
    heads: dict[str, frozenset[str]]
    adjacent: AdjacentWords
    digest: str


class Measurer:
    """Measures one index. For the indexing thread.

    probes: vectors of texts without meaning (`searchsvc.indexing.neighbour_cut.probe_texts`); empty for an index
        without vectors
    """

    def __init__(self, probes: Sequence[FloatArray]) -> None:
        self._probes = probes
        self._cut_age, self._titles_age = IndexAge(), IndexAge()
        self._n_changes = 0
        self.value = Measurements()

    @property
    def has_vectors(self) -> bool:
        """Whether its index has vectors."""
        return bool(self._probes)

    def add_changes(self, n: int) -> None:
        """Count documents that were written or deleted."""
        self._n_changes += n

    def is_behind(self, snapshot: EngineSnapshot) -> bool:
        """Whether `update` has something to do once no documents come."""
        return self._is_due(self._cut_age, snapshot, 0.0) or self._is_due(
            self._titles_age, snapshot, QUIET_CHANGED_SHARE
        )

    def update(self, snapshot: EngineSnapshot, *, is_quiet: bool = False) -> Measurements:
        """Return the measurements of a snapshot. Raises Unavailable if the engine does not answer.

        is_quiet: no documents arrive, so that there is time to measure after a smaller change: the result should not
            depend on how many documents arrived at a time
        """
        value, cut_age, titles_age = self.value, self._cut_age, self._titles_age
        now = IndexAge(snapshot.generation, snapshot.n_documents, self._n_changes)
        if self._is_due(cut_age, snapshot, 0.0 if is_quiet else CHANGED_SHARE):
            cut, cut_age = measure_cut(snapshot, self._probes), now
            value = value if cut == value.neighbour_cut else msgspec.structs.replace(value, neighbour_cut=cut)
        if self._is_due(titles_age, snapshot, QUIET_CHANGED_SHARE if is_quiet else CHANGED_SHARE):
            value, titles_age = _with_titles(value, snapshot), now
        # Last: if the engine does not answer in the middle, all of it is measured again.
        if value is not self.value:
            self.value = msgspec.structs.replace(value, digest=_digest(value))
        self._cut_age, self._titles_age = cut_age, titles_age
        return self.value

    def store(self, snapshot: EngineSnapshot) -> StoredMeasurements:
        """Return what `restore` needs after another start, if the index is then as in this snapshot."""
        return StoredMeasurements(
            version=VERSION,
            generation=snapshot.generation,
            documents=snapshot.digest,
            cut_age=self._cut_age,
            titles_age=self._titles_age,
            n_changes=self._n_changes,
            neighbour_cut=self.value.neighbour_cut,
            heads=dict(self.value.heads),
            adjacent=self.value.adjacent,
            digest=self.value.digest,
        )

    def restore(self, stored: StoredMeasurements, snapshot: EngineSnapshot) -> None:
        """Go on from what was stored, unless the snapshot has other documents."""
        now = (VERSION, snapshot.generation, snapshot.digest)
        if (stored.version, stored.generation, stored.documents) == now:
            self._cut_age, self._titles_age, self._n_changes = stored.cut_age, stored.titles_age, stored.n_changes
            self.value = Measurements(stored.neighbour_cut, stored.heads, stored.adjacent, stored.digest)

    def _is_due(self, age: IndexAge, snapshot: EngineSnapshot, share: float) -> bool:
        """Whether another build is to be measured, or one of which more than this share has changed since."""
        n_changes = self._n_changes - age.n_changes
        return snapshot.generation != age.generation or n_changes > share * age.n_documents


def measure(snapshot: EngineSnapshot, probes: Sequence[FloatArray]) -> Measurements:
    """Measure an index. probes: as in `Measurer`"""
    return Measurer(probes).update(snapshot)


def _digest(value: Measurements) -> str:
    """Return a digest that is the same for the same measurements, also after another start."""
    parts = (
        value.neighbour_cut,
        sorted((word, sorted(heads)) for word, heads in value.heads.items()),
        sorted(value.adjacent.pairs),
        sorted(value.adjacent.open_compounds.items()),
    )
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _with_titles(before: Measurements, snapshot: EngineSnapshot) -> Measurements:
    """Measure an index's titles again. Without vectors they have no heads."""
    reading = snapshot.reading()
    slots = reading.sample(N_TITLES)
    titles = reading.titles(slots)
    share_read = len(slots) / max(snapshot.n_documents, 1)
    heads = find_heads(titles, reading.vectors(slots))
    adjacent = adjacent_words(titles, snapshot.lexicon, share_read)
    return msgspec.structs.replace(before, heads=heads, adjacent=adjacent)
