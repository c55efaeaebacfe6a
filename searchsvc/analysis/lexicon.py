"""What the words of an index tell about a word of a query."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from searchsvc.analysis.languages import Languages

# Letters that a compound has at least besides one of its words.
MIN_PART: Final = 3
# Letters of an ending at most.
MAX_ENDING: Final = 4


class SimilarWord(NamedTuple):
    """A word of the index that is similar to another.

    edits: edit distance to the other word
    frequency: live documents with its term, in the field that has it most often
    """

    word: str
    edits: int
    frequency: int


class Lexicon(Protocol):
    """The words of one engine snapshot, folded as `searchsvc.analysis.folding` folds them. languages: of the index"""

    @property
    def languages(self) -> Languages: ...

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

    def compounds(self, word: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that begin or end with a word, by their stems, and are `MIN_PART` longer."""
        ...
