"""Arrays that belong together, in the form in which kernels take them."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from tuning.arrays import AnyArray, ScoreArray


class Entries(NamedTuple):
    """Postings entries. Each says that one field of one slot contains a term.

    slots: (n,) in ascending order within a term
    fields: (n,) column numbers of the searchable fields
    frequencies: (n,) how often the field contains the term, at most `postings.MAX_FREQUENCY`
    lengths: (n,) how many words the field has, at most `postings.MAX_LENGTH`
    """

    slots: Annotated[AnyArray, "i4[1]"]
    fields: Annotated[AnyArray, "u1[1]"]
    frequencies: Annotated[AnyArray, "u1[1]"]
    lengths: Annotated[AnyArray, "u2[1]"]


class RunArrays(NamedTuple):
    """A run: a sorted batch of postings lists.

    terms: (n_terms,) in ascending order
    starts: (n_terms + 1,) the entries of terms[i] are those from starts[i] to starts[i + 1]
    entries: of all terms
    """

    terms: Annotated[AnyArray, "i4[1]"]
    starts: Annotated[AnyArray, "i8[1]"]
    entries: Entries


class Spans(NamedTuple):
    """The postings lists of one run that a query reads, in the order of the query's terms.

    begins: (n_spans,) list i is the run's entries from begins[i] to ends[i]
    ends: (n_spans,) end of each list
    terms: (n_spans,) position of the query term that the list stands for
    weights: (n_spans,) weight of the alternative, (0, 1]
    """

    begins: Annotated[AnyArray, "i8[1]"]
    ends: Annotated[AnyArray, "i8[1]"]
    terms: Annotated[AnyArray, "i8[1]"]
    weights: Annotated[ScoreArray, "f8[1]"]


class LengthNorm(NamedTuple):
    """How BM25 normalizes by length: a frequency f counts f / (f + constant + slope * length).

    slopes: (n_fields,) K1 * B / average length
    constant: K1 * (1 - B)
    """

    slopes: Annotated[ScoreArray, "f8[1]"]
    constant: Annotated[float, "f8"]


class ForwardArrays(NamedTuple):
    """The forward index: the words of each slot, by field and position.

    starts: (n_slots + 1,) the entries of a slot are those from starts[slot] to starts[slot + 1]
    words: (n,) word number of each entry
    fields: (n,) column number of the entry's field
    positions: (n,) position of the word in its field
    lengths: (n_slots, n_fields) in words
    titles: (n_slots,) hash of the title's words
    """

    starts: Annotated[AnyArray, "i8[1]"]
    words: Annotated[AnyArray, "i4[1]"]
    fields: Annotated[AnyArray, "u1[1]"]
    positions: Annotated[AnyArray, "u2[1]"]
    lengths: Annotated[AnyArray, "i4[2]"]
    titles: Annotated[AnyArray, "u8[1]"]


class PhraseArrays(NamedTuple):
    """Phrases that stand for terms of a query: a row for each field of a slot that contains one, and term.

    slots: (n,) in ascending order
    fields: (n,) column numbers of the searchable fields
    terms: (n,) position of the query term that the phrase stands for
    frequencies: (n,) how often the phrase is there, times its weight
    goes_on: (n,) whether it also stands for the next term
    """

    slots: Annotated[AnyArray, "i8[1]"]
    fields: Annotated[AnyArray, "i8[1]"]
    terms: Annotated[AnyArray, "i8[1]"]
    frequencies: Annotated[ScoreArray, "f8[1]"]
    goes_on: Annotated[AnyArray, "b1[1]"]


def no_phrases() -> PhraseArrays:
    """Return the arrays of a query whose terms no phrase stands for."""
    return PhraseArrays(
        np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_)
    )


class QueryPlan(NamedTuple):
    """What text features of a query look for in a document.

    words: (n_words,) word numbers of all alternatives, in ascending order
    starts: (n_words + 1,) words[i] stands for the query terms `terms[starts[i] : starts[i + 1]]`
    terms: (n,) positions of query terms
    weights: (n,) weight of the alternative, (0, 1]
    coverages: (n,) how much of the term a document covers that has the word, (0, 1]
    title: hash of the query's words
    factors: (n_terms, n_fields) what BM25 is multiplied by
    idf_shares: (n_terms,) each term's share of the query's idf
    required: (n_terms,) 1 for a term that the feature all_terms requires, else 0
    widths: (n_terms,) how many words each term is made of
    phrases: that stand for its terms
    """

    words: Annotated[AnyArray, "i4[1]"]
    starts: Annotated[AnyArray, "i8[1]"]
    terms: Annotated[AnyArray, "i8[1]"]
    weights: Annotated[ScoreArray, "f8[1]"]
    coverages: Annotated[ScoreArray, "f8[1]"]
    title: Annotated[int, "u8"]
    factors: Annotated[ScoreArray, "f8[2]"]
    idf_shares: Annotated[ScoreArray, "f8[1]"]
    required: Annotated[AnyArray, "i8[1]"]
    widths: Annotated[AnyArray, "i8[1]"]
    phrases: PhraseArrays
