"""Which word of a title names the thing: a "laptop sleeve" is a sleeve, a "laptop black" is a laptop. Pure.

Told from the catalogue alone, in any language. Where documents with the two words side by side are like those with the
second word and not the first, rather than the other way round, the second word is the *head* and the first says what
it goes with. See docs/decisions/accessories.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.languages import Languages
from searchsvc.analysis.query import Query
from tuning.arrays import AnyArray, FloatArray

# Later words of a title are not read.
MAX_TITLE_WORDS: Final = 32
# Words in fewer titles tell nothing.
MIN_TITLES: Final = 3
# As many titles must have the first word otherwise, and as many the second: else there is nothing to compare with.
MIN_OTHER_TITLES: Final = 2
# By how much nearer to the second word's titles the pair's must be, as a cosine.
MARGIN: Final = 0.03
# Pairs of words that are compared at a time, so that memory has a bound.
CHUNK: Final = 4096

# By word, as a stem, the heads that may follow it.
Heads = Mapping[str, frozenset[str]]


class SearchedThing(msgspec.Struct, frozen=True):
    """What a query is after, by one of its words.

    stems: that stand for the word
    heads: stems that make a title name something else where they follow the word
    purposes: stems of words like "for", after which a title says what the thing goes with
    """

    stems: frozenset[str]
    heads: frozenset[str]
    purposes: frozenset[str]


def searched_thing(query: Query, heads: Heads, languages: Languages) -> SearchedThing | None:
    """Return what a query is after; None if it names nothing.

    It is its last word, or the last before "for". A word without digits tells more: "ssd 1tb" is after an ssd.
    """
    purposes = languages.purpose_words
    end = next((i for i, term in enumerate(query.terms) if i and term.word in purposes), len(query.terms))
    terms = [term for term in query.terms[:end] if not term.optional]
    named = [term for term in terms if not any(map(str.isdecimal, term.word))] or terms
    if not named:
        return None
    stems = frozenset(named[-1].stems)
    query_stems = {stem for term in query.terms for stem in term.stems}
    followers = frozenset[str]().union(*(heads.get(stem, frozenset()) for stem in stems))
    return SearchedThing(stems, followers - query_stems, languages.purpose_stems)


def goes_with(title: Sequence[str], thing: SearchedThing) -> bool:
    """Return whether a title names something that goes with the thing: wherever it names the thing, a head follows, or
    "for" stands before.

    title: stems of its words
    """
    is_after_purpose, is_named = False, False
    for i, word in enumerate(title):
        if word in thing.stems:
            has_head = i + 1 < len(title) and title[i + 1] in thing.heads
            if not (is_after_purpose or has_head):
                return False
            is_named = True
        is_after_purpose = is_after_purpose or word in thing.purposes
    return is_named


def find_heads(titles: Sequence[Sequence[str]], vectors: FloatArray) -> Heads:
    """Return the heads of the titles of a catalogue.

    titles: words of each title, as stems
    vectors: (n_titles, dimension) of the same documents
    """
    words = sorted({word for title in titles for word in title if _can_tell(word)})
    numbers = {word: number for number, word in enumerate(words)}
    # One place more after each title, so that the last word of one has no follower.
    places = [place for title in titles for place in (*(numbers.get(word, -1) for word in title), -1)]
    word_at = np.array(places, np.int64)
    title_at = np.repeat(np.arange(len(titles)), [len(title) + 1 for title in titles])
    of_words = _Groups.by_key(word_at[word_at >= 0], title_at[word_at >= 0])
    counts = np.zeros(len(words), np.int64)
    counts[of_words.keys] = of_words.sizes
    is_frequent = np.append(counts >= MIN_TITLES, False)  # the last stands for -1
    first, second = word_at[:-1], word_at[1:]
    is_pair = is_frequent[first] & is_frequent[second] & (first != second)
    pairs = _Groups.by_key(first[is_pair] * len(words) + second[is_pair], title_at[:-1][is_pair])
    firsts, seconds = np.divmod(pairs.keys, max(len(words), 1))
    enough = np.minimum(counts[firsts], counts[seconds]) - pairs.sizes >= MIN_OTHER_TITLES
    pairs, firsts, seconds = pairs.select(enough), firsts[enough], seconds[enough]
    row_of = np.zeros(len(words), np.int64)
    frequent = of_words.select(is_frequent[of_words.keys])
    row_of[frequent.keys] = np.arange(len(frequent.keys))
    sums = frequent.sums(vectors, slice(None))
    heads = defaultdict[str, set[str]](set)
    for start in range(0, len(pairs.keys), CHUNK):
        chunk = slice(start, start + CHUNK)
        of_pair = pairs.sums(vectors, chunk)
        nearness_to_second = _cosines(of_pair, sums[row_of[seconds[chunk]]] - of_pair)
        nearness_to_first = _cosines(of_pair, sums[row_of[firsts[chunk]]] - of_pair)
        for i in np.flatnonzero(nearness_to_second - nearness_to_first > MARGIN) + start:
            heads[words[firsts[i]]].add(words[seconds[i]])
    return {word: frozenset(followers) for word, followers in heads.items()}


class _Groups(msgspec.Struct, frozen=True):
    """Distinct titles by key.

    keys: (n,) ascending
    starts: (n,) the titles of a key are titles[start : start + size]
    sizes: (n,) number of titles of each key
    titles: of all keys, also of those that are not selected
    """

    keys: AnyArray
    starts: AnyArray
    sizes: AnyArray
    titles: AnyArray

    @staticmethod
    def by_key(keys: AnyArray, titles: AnyArray) -> _Groups:
        """Group titles, each counted once for a key. keys, titles: (m,)"""
        distinct = np.unique(np.stack([keys, titles], axis=1), axis=0)
        return _Groups(*np.unique(distinct[:, 0], return_index=True, return_counts=True), distinct[:, 1])

    def select(self, mask: AnyArray) -> _Groups:
        """Return some of the groups. mask: (n,)"""
        return _Groups(self.keys[mask], self.starts[mask], self.sizes[mask], self.titles)

    def sums(self, vectors: FloatArray, groups: slice) -> FloatArray:
        """Return (n_groups, dimension) the sum of the vectors of each group's titles."""
        starts, sizes = self.starts[groups], self.sizes[groups]
        sums = np.empty((len(starts), vectors.shape[1]), np.float32)
        for i, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
            np.add.reduce(vectors[self.titles[start : start + size]], axis=0, out=sums[i])
        return sums


def _cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    cosines: FloatArray = np.einsum("ij,ij->i", a, b) / np.maximum(lengths, np.float32(1e-9))
    return cosines


def _can_tell(word: str) -> bool:
    return len(word) > 1 and not word.isdecimal()
