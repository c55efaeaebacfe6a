"""What the words of an index tell about a word of a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from searchsvc.analysis.languages import Languages

# Letters that a compound has at least besides one of its words.
MIN_PART: Final = 3
# Letters of an ending at most.
MAX_ENDING: Final = 4


def ends_with(word: str, stem: str, languages: Languages) -> bool:
    """Whether a longer word ends with the word of a stem, in any inflection: Gartenschere with Schere.

    The longer word may lose more to its own stem, so its end is also looked at by itself.
    """
    whole = languages.stem(word)
    if whole.endswith(stem) and len(whole) >= len(stem) + MIN_PART:
        return True
    start = word.rfind(stem)
    return start >= MIN_PART and languages.stem(word[start:]) == stem


class SimilarWord(NamedTuple):
    """A word of the index that is similar to another.

    edits: edit distance to the other word
    frequency: live documents with its term, in the field that has it most often
    """

    word: str
    edits: int
    frequency: int


def nearest_first(direct: Sequence[SimilarWord], by_stem: Iterable[SimilarWord]) -> list[SimilarWord]:
    """Return similar words once each, nearest first, then the most frequent.

    by_stem: words whose stem is similar to that of the other; they count if they are nearer than all that are similar
        as such. A stem that is the same is one edit away
    """
    nearest = min((word.edits for word in direct), default=None)
    others = (word._replace(edits=max(word.edits, 1)) for word in by_stem)
    words = {word: None for word in others if nearest is None or word.edits < nearest} | dict.fromkeys(direct)
    ranked = sorted(words, key=lambda word: (word.edits, -word.frequency, word.word))
    return list({word.word: word for word in reversed(ranked)}.values())[::-1]


class Lexicon(Protocol):
    """The words of one engine snapshot, folded as `searchsvc.analysis.folding` folds them. languages: of the index"""

    @property
    def languages(self) -> Languages: ...

    def count(self, term: str) -> int:
        """Return how many live documents have a term, in the field that has it most often."""
        ...

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Return the words within an edit distance, nearest first.

        An edit is an insertion, deletion, substitution or swap of adjacent letters.
        """
        ...

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that are longer than a prefix and begin with it."""
        ...

    def compounds(self, word: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that begin or end with a word, by their stems, and are `MIN_PART` longer."""
        ...
