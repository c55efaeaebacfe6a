"""Find documents that contain a phrase: the postings tell which have its words, the forward index tells where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from searchsvc.analysis.query import Phrase, Query
from searchsvc.engines.columnar.lexicon_view import IndexedAlternative
from searchsvc.engines.embedded.forward_view import ForwardView
from searchsvc.engines.embedded.kernels.phrases import count_phrases
from searchsvc.engines.embedded.kernels.postings import set_term_bits
from searchsvc.engines.embedded.kernels.structs import PhraseArrays, no_phrases
from searchsvc.engines.embedded.postings import PostingsView
from tuning.arrays import AnyArray, BoolArray, IntArray


class PhraseCounts(NamedTuple):
    """Where a phrase is.

    slots: (n,) that contain it, dead ones too, ascending
    counts: (n, n_fields) how often each field contains it
    """

    slots: IntArray
    counts: AnyArray


def find_phrase(phrase: Phrase, postings: PostingsView, forward: ForwardView) -> PhraseCounts:
    """Find a phrase of at most 32 words in all slots."""
    n_fields = forward.arrays.lengths.shape[1]
    terms = [forward.lexicon.term(stem) for stem in phrase.stems]
    existing = [term for term in terms if term is not None]
    if len(existing) < len(terms):
        return PhraseCounts(np.empty(0, np.int64), np.empty((0, n_fields), np.uint8))
    slots = _with_all(existing, postings, len(forward.arrays.lengths))
    places: dict[int, int] = {}
    for place, term in enumerate(existing):
        for word in forward.lexicon.word_numbers(term):
            places[word] = places.get(word, 0) | 1 << place
    words = sorted(places)
    counts = np.zeros((len(slots), n_fields), np.uint8)
    bits = np.array([places[word] for word in words], np.uint32)
    count_phrases(slots, forward.arrays, np.array(words, np.int32), bits, len(existing), counts)
    contained = counts.any(axis=1)
    return PhraseCounts(slots[contained], counts[contained])


def slots_with_phrases(query: Query, postings: PostingsView, forward: ForwardView) -> BoolArray | None:
    """Return (n_slots,) which slots contain all phrases that a query requires and none that it excludes.

    None if it has no such phrases.
    """
    if not query.required and not query.excluded:
        return None
    passing = np.ones(len(forward.arrays.lengths), np.bool_)
    for phrase in query.required:
        contained = np.zeros_like(passing)
        contained[find_phrase(phrase, postings, forward).slots] = True
        passing &= contained
    for phrase in query.excluded:
        passing[find_phrase(phrase, postings, forward).slots] = False
    return passing


def phrase_arrays(query: Query, postings: PostingsView, forward: ForwardView) -> PhraseArrays:
    """Find the phrases that stand for terms of a query."""
    rows = []
    for alternative in query.phrase_alternatives:
        occurrences = find_phrase(alternative.phrase, postings, forward)
        places, fields = np.nonzero(occurrences.counts)
        for position in alternative.positions:
            slots, weighted = occurrences.slots[places], alternative.weight * occurrences.counts[places, fields]
            goes_on = np.full(len(slots), position != alternative.positions[-1])
            rows.append((slots, fields, np.full(len(slots), position), weighted, goes_on))
    if not rows:
        return no_phrases()
    slots, fields, terms, frequencies, goes_on = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(slots, kind="stable")
    return PhraseArrays(slots[order], fields[order], terms[order], frequencies[order], goes_on[order])


def _with_all(terms: Sequence[int], postings: PostingsView, n_slots: int) -> IntArray:
    """Return the slots that have all of some terms, ascending."""
    alternatives = [IndexedAlternative(position, term, 1.0) for position, term in enumerate(terms)]
    bits = np.zeros(n_slots, np.uint32)
    for query_spans in postings.spans(alternatives):
        set_term_bits(query_spans.run.arrays.entries, query_spans.spans, bits)
    return np.flatnonzero(bits == np.uint32(2 ** len(terms) - 1))
