"""Compaction: what an index stores, without its dead slots and without the words and values that only they had.

Slots, words, terms and values are numbered anew in the same order, so sorted arrays stay sorted, and no document is
analyzed or encoded again. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from searchsvc.engines.columnar.lexicon import StoredLexicon
from searchsvc.engines.columnar.quantized import StoredVectors
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from searchsvc.engines.embedded.attributes import StoredAttribute, StoredAttributes
from searchsvc.engines.embedded.engine import StoredEngine
from searchsvc.engines.embedded.forward import StoredForward
from searchsvc.engines.embedded.ids import StoredIds
from searchsvc.engines.embedded.kernels.structs import ForwardArrays, RunArrays
from searchsvc.engines.embedded.postings import select
from tuning.arrays import AnyArray, BoolArray


class _Kept(NamedTuple):
    """Which numbers are kept, and as what.

    has: (n,) whether a number is kept
    old: (n_kept,) the old numbers of those that are kept, ascending
    new: (n,) their new number; it means nothing for one that is not kept
    """

    has: BoolArray
    old: AnyArray
    new: AnyArray

    @staticmethod
    def of(mask: BoolArray) -> _Kept:
        return _Kept(mask, np.flatnonzero(mask), np.cumsum(mask) - 1)


def compacted(stored: StoredEngine) -> StoredEngine:
    """Return what an index stores, without its dead slots."""
    slots = _Kept.of(stored.live)
    forward, terms = _forward(stored.forward, slots)
    return StoredEngine(
        catalog_seq=stored.catalog_seq,
        digest=stored.digest,
        ids=_ids(stored.ids, slots),
        live=stored.live[slots.old],
        signals=stored.signals[slots.old],
        document_ends=np.append(0, np.cumsum(np.diff(stored.document_ends)[slots.old])),
        vectors=_vectors(stored.vectors, slots),
        forward=forward,
        postings=_postings(stored.postings, slots, terms),
        attributes=_attributes(stored.attributes, slots),
    )


def _ids(stored: StoredIds, slots: _Kept) -> StoredIds:
    numbers, of_slot = np.unique(stored.of_slot[slots.old], return_inverse=True)
    return StoredIds(_texts(stored.texts, numbers), of_slot.astype(np.int32), stored.keys[slots.old])


def _vectors(stored: StoredVectors, slots: _Kept) -> StoredVectors:
    if not len(stored.rows):
        return stored
    return StoredVectors(stored.rows[slots.old], stored.scales[slots.old], stored.total)


def _forward(stored: StoredForward, slots: _Kept) -> tuple[StoredForward, _Kept]:
    """Return the forward index, and which terms it has."""
    arrays = stored.arrays
    starts, ends = arrays.starts[slots.old], arrays.starts[slots.old + 1]
    entries = _positions(starts, ends)
    words = _Kept.of(_mask(len(stored.word_counts), arrays.words[entries]))
    terms = _Kept.of(_mask(stored.document_frequencies.shape[1], stored.lexicon.term_of[words.old]))
    compact = StoredForward(
        lexicon=_lexicon(stored.lexicon, words, terms),
        arrays=ForwardArrays(
            starts=np.append(0, np.cumsum(ends - starts)),
            words=words.new[arrays.words[entries]].astype(np.int32),
            fields=arrays.fields[entries],
            positions=arrays.positions[entries],
            lengths=arrays.lengths[slots.old],
            titles=arrays.titles[slots.old],
        ),
        word_counts=stored.word_counts[words.old],
        document_frequencies=stored.document_frequencies[:, terms.old],
        total_lengths=stored.total_lengths,
        n_live=stored.n_live,
    )
    return compact, terms


def _lexicon(stored: StoredLexicon, words: _Kept, terms: _Kept) -> StoredLexicon:
    stems = {stem: int(terms.new[term]) for stem, term in stored.stems.items() if terms.has[term]}
    # Any other stem is a word, the first of its term. It must be found although the word goes.
    _, first_words = np.unique(stored.term_of, return_index=True)
    loses_stem = terms.has & ~words.has[first_words]
    loses_stem[list(stored.stems.values())] = False
    texts = Texts(stored.words)
    stems |= {texts[first_words[term]]: int(terms.new[term]) for term in np.flatnonzero(loses_stem).tolist()}
    return StoredLexicon(
        words=_texts(stored.words, words.old),
        stems=stems,
        term_of=terms.new[stored.term_of[words.old]].astype(np.int32),
        signatures=stored.signatures[words.old],
        beginnings=stored.beginnings[words.old],
        lengths=stored.lengths[words.old],
        in_order=words.new[stored.in_order[words.has[stored.in_order]]].astype(np.int32),
    )


def _postings(run: RunArrays, slots: _Kept, terms: _Kept) -> RunArrays:
    is_live = slots.has[run.entries.slots]
    starts = np.append(0, np.cumsum(is_live))[run.starts]
    has_entries = np.diff(starts) > 0
    entries = select(run.entries, is_live)
    return RunArrays(
        terms=terms.new[run.terms[has_entries]].astype(np.int32),
        starts=np.append(starts[:-1][has_entries], len(entries.slots)),
        entries=entries._replace(slots=slots.new[entries.slots].astype(np.int32)),
    )


def _attributes(stored: StoredAttributes, slots: _Kept) -> StoredAttributes:
    by_name = {name: _attribute(attribute, slots) for name, attribute in stored.split().items()}
    return StoredAttributes.join({name: attribute for name, attribute in by_name.items() if len(attribute.slots)})


def _attribute(stored: StoredAttribute, slots: _Kept) -> StoredAttribute:
    is_live = slots.has[stored.slots]
    codes = stored.codes[is_live]
    values = _Kept.of(_mask(len(stored.numbers), codes))
    # Equal values have one key: the first of those that are kept.
    _, keys, of_value = np.unique(stored.keys[values.old], return_index=True, return_inverse=True)
    return StoredAttribute(
        texts=_texts(stored.texts, values.old),
        numbers=stored.numbers[values.old],
        amounts=stored.amounts[values.old],
        dates=stored.dates[values.old],
        truths=stored.truths[values.old],
        keys=keys[of_value].astype(np.int32),
        slots=slots.new[stored.slots[is_live]].astype(np.int32),
        codes=values.new[codes].astype(np.int32),
    )


def _texts(stored: StoredTexts, numbers: AnyArray) -> StoredTexts:
    """Return some texts. numbers: (n,) of them, ascending"""
    starts, ends = np.append(0, stored.ends)[numbers], stored.ends[numbers]
    return StoredTexts(stored.letters[_positions(starts, ends)], np.cumsum(ends - starts), stored.hashes[numbers])


def _mask(n: int, numbers: AnyArray) -> BoolArray:
    """Return (n,) which numbers occur."""
    mask = np.zeros(n, np.bool_)
    mask[numbers] = True
    return mask


def _positions(starts: AnyArray, ends: AnyArray) -> AnyArray:
    """Return the positions from each start to its end, one range after another."""
    lengths = ends - starts
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
