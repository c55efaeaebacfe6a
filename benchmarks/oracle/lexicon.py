"""The words of the oracle's documents, and which of them are alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.analysis.lexicon import MIN_PART, SimilarWord, ends_with, nearest_first


class OracleLexicon:
    """All words of an index.

    frequencies: stem -> number of documents that contain it, in the field that has most
    languages: of the index
    """

    def __init__(self, words: set[str], frequencies: Mapping[str, int], languages: Languages = DEFAULT) -> None:
        self.languages = languages
        self.words = words
        self.frequencies = frequencies

    def count(self, term: str) -> int:
        return self.frequencies.get(term, 0)

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        """Return the words that are within max_edits of a word, themselves or by their stems, nearest first."""
        stem = self.languages.stem
        direct, by_stem = list[SimilarWord](), list[SimilarWord]()
        for candidate in self.words:
            stems = [stem(candidate)] if stem(candidate) not in self.words else []
            of_stem = min(edits(stem(word), text) for text in (candidate, *stems))
            for similar, n_edits in ((direct, edits(word, candidate)), (by_stem, of_stem)):
                if n_edits <= max_edits:
                    similar.append(SimilarWord(candidate, n_edits, self._count(candidate)))
        return nearest_first(direct, by_stem)

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that begin with a prefix and are longer."""
        longer = [word for word in self.words if word.startswith(prefix) and word != prefix]
        matches = [SimilarWord(word, 0, self._count(word)) for word in longer]
        return sorted(matches, key=lambda match: (-match.frequency, match.word))[:n]

    def compounds(self, word: str, n: int) -> list[SimilarWord]:
        """Return the n most frequent words that begin or end with a word, and are longer by a part of their own."""
        similar = [
            SimilarWord(candidate, 0, self._count(candidate))
            for candidate in self.words
            if (candidate.startswith(word) and len(candidate) >= len(word) + MIN_PART)
            or ends_with(candidate, self.languages.stem(word), self.languages)
        ]
        return sorted(similar, key=lambda match: (-match.frequency, match.word))[:n]

    def _count(self, word: str) -> int:
        return self.count(self.languages.stem(word))


def edits(first: str, second: str) -> int:
    """Count the insertions, deletions, substitutions and swaps of neighbours that turn one word into another.

    Source: the optimal string alignment distance, in which no edit lies inside another.
    """
    rows = [list(range(len(second) + 1))]
    for i, a in enumerate(first, start=1):
        row = [i]
        for j, b in enumerate(second, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
