"""What the words of an index tell about a word of a query."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SimilarWord(NamedTuple):
    """A word of the index that is similar to another.

    edits: edit distance to the other word
    frequency: live documents with its term, in the field that has it most often
    """

    word: str
    edits: int
    frequency: int


class Lexicon(Protocol):
    """The words of one engine snapshot, folded as `searchsvc.analysis.folding` folds them."""

    def count(self, term: str) -> int:
        """Return how many live documents have a term, in the field that has it most often."""
        ...

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Return the words within an edit distance, nearest first.

        An edit is an insertion, deletion, substitution or swap of neighbours.
        """
        ...

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that are longer than a prefix and begin with it."""
        ...
