"""What the words of an index tell about a word that somebody typed."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SimilarWord(NamedTuple):
    """A word of the index. edits: from the word asked about. frequency: live documents with its term, in the field that
    holds it most often."""

    word: str
    edits: int
    frequency: int


class Lexicon(Protocol):
    """The words of one snapshot of an index, folded as `searchsvc.analysis.analyzer` folds them."""

    def count(self, term: str) -> int:
        """In how many live documents a stem is, in the field that has it most often."""
        ...

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Words within so many insertions, deletions, substitutions and swaps of neighbours, nearest first."""
        ...

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """The n most frequent words that go on after a prefix."""
        ...
