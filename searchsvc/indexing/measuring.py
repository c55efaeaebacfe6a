"""Statistics over a whole index, measured again when its number of documents has changed enough."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from searchsvc.analysis.title_heads import find_heads
from searchsvc.analysis.word_pairs import word_pairs
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.neighbour_cut import measure_cut
from searchsvc.state.serving_state import Measurements
from tuning.arrays import FloatArray

# Measure again when the number of documents grew or shrank by this factor.
GROWTH: Final = 1.5
# The same for titles while no documents arrive: they take longer to read than the cut does, and change less.
QUIET_GROWTH: Final = 1.02
# Documents whose titles are read: a larger catalogue says the same of its frequent words.
N_TITLES: Final = 20_000


class Measurer:
    """Measures one index. For the indexing thread.

    probes: vectors of texts without meaning (`searchsvc.indexing.neighbour_cut.probe_texts`); empty for an index
        without vectors
    """

    def __init__(self, probes: Sequence[FloatArray]) -> None:
        self._probes = probes
        self._cut_measured, self._titles_measured = _Measured(), _Measured()
        self.value = Measurements()

    @property
    def has_vectors(self) -> bool:
        """Whether its index has vectors."""
        return bool(self._probes)

    def is_behind(self, snapshot: EngineSnapshot) -> bool:
        """Whether `update` has something to do once no documents come."""
        return self._cut_measured.differs(snapshot) or self._titles_measured.differs(snapshot, QUIET_GROWTH)

    def update(self, snapshot: EngineSnapshot, *, is_quiet: bool = False) -> Measurements:
        """Return the measurements of a snapshot. Raises Unavailable if the engine does not answer.

        is_quiet: no documents arrive, so that there is time to measure after a smaller change: the result should not
            depend on how many documents arrived at a time
        """
        value, cut, titles = self.value, self._cut_measured, self._titles_measured
        if cut.differs(snapshot, 1.0 if is_quiet else GROWTH):
            value = msgspec.structs.replace(value, neighbour_cut=measure_cut(snapshot, self._probes))
            cut = _Measured.of(snapshot)
        if titles.differs(snapshot, QUIET_GROWTH if is_quiet else GROWTH):
            value = _with_titles(value, snapshot)
            titles = _Measured.of(snapshot)
        if value is not self.value:
            # Last: if the engine does not answer in the middle, all of it is measured again.
            self.value = msgspec.structs.replace(value, digest=_digest(value))
            self._cut_measured, self._titles_measured = cut, titles
        return self.value


class _Measured(msgspec.Struct, frozen=True):
    """The state of an index that was measured last."""

    generation: str = ""
    n_documents: int = 0

    @staticmethod
    def of(snapshot: EngineSnapshot) -> _Measured:
        return _Measured(snapshot.generation, snapshot.n_documents)

    def differs(self, snapshot: EngineSnapshot, growth: float = 1.0) -> bool:
        """Whether a snapshot is another build, or has another number of documents by a factor of `growth` or more."""
        fewer, more = sorted((self.n_documents, snapshot.n_documents))
        return snapshot.generation != self.generation or (fewer != more and more >= max(fewer, 1) * growth)


def measure(snapshot: EngineSnapshot, probes: Sequence[FloatArray]) -> Measurements:
    """Measure an index. probes: as in `Measurer`"""
    return Measurer(probes).update(snapshot)


def _digest(value: Measurements) -> str:
    """Return a digest that is the same for the same measurements, also after another start."""
    parts = [str(value.neighbour_cut)]
    parts += (f"{word}\x1f{head}" for word in sorted(value.heads) for head in sorted(value.heads[word]))
    parts += ("\x1f".join(pair) for pair in sorted(value.pairs))
    return hashlib.blake2b("\x1e".join(parts).encode(), digest_size=8).hexdigest()


def _with_titles(before: Measurements, snapshot: EngineSnapshot) -> Measurements:
    """Measure an index's titles again. Without vectors they have no heads."""
    reading = snapshot.reading()
    slots = reading.sample(N_TITLES)
    titles = reading.titles(slots)
    heads, pairs = find_heads(titles, reading.vectors(slots)), word_pairs(titles)
    return msgspec.structs.replace(before, heads=heads, pairs=pairs)
