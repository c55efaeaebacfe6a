"""Understand a query: find the words of the index that each of its words may stand for. Pure.

read signs: "phrases" and -excluded words
->  split into words; a compound that documents contain is one term
->  each word: itself, what it is the beginning or a misspelling of, and the two words it is made of
->  adjacent words written as one  ->  synonyms  ->  stop words
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from searchsvc.analysis.adjacent_words import NO_ADJACENT_WORDS, AdjacentWords, fits_beside
from searchsvc.analysis.alternatives import Tolerance, alternatives_of, exact, more_frequent
from searchsvc.analysis.analyzer import Analysis, Compound, analyze_query
from searchsvc.analysis.lexicon import Lexicon
from searchsvc.analysis.query import Alternative, Phrase, Query, QueryTerm
from searchsvc.analysis.query_syntax import read_query
from searchsvc.analysis.synonyms import SynonymLookup, no_synonyms
from searchsvc.analysis.units import in_other_units

MAX_QUERY_TERMS: Final = 32
MIN_SPLIT_CHARS: Final = 2
# The letters of a model number, such as M8x40; those of iphone15 are a word.
MAX_MODEL_LETTERS: Final = 3
# From so many words on, a query is a sentence. One in which two or more words are unknown, and at least this share of
# all, is in another language: nothing in it is guessed.
SENTENCE_FROM: Final = 4
UNKNOWN_FROM_SHARE: Final = 0.25
# A sentence of another language is a name that the catalogue has if titles have at least this share of its words side
# by side as it has them: la vie est belle eau de parfum.
MIN_TITLE_SHARE: Final = 0.5
JOINED_WEIGHT: Final = 0.9
SYNONYM_WEIGHT: Final = 0.9
# Words that synonyms may add to the terms of a query, each for each term that it stands for: the engine looks them all
# up. One phrase adds at most half as many (`searchsvc.rules.costs.MAX_SYNONYM_WORDS`).
MAX_ADDED_WORDS: Final = 200
TOLERANT: Final = Tolerance()

Stem = Callable[[str], str]


class _Guessing(NamedTuple):
    """What may be guessed of the words of a query.

    tolerance: how far a word may be misspelt; None if it may not
    completes: whether the last word may be unfinished
    splits: whether a word may be two words of the index
    joins: whether two adjacent words may be one word of the index
    """

    tolerance: Tolerance | None
    completes: bool = True
    splits: bool = True
    joins: bool = True


NO_GUESSING: Final = _Guessing(None, completes=False, splits=False, joins=False)


class _Terms(NamedTuple):
    """The terms of a query before synonyms. corrected: its words with the misspelt ones replaced."""

    terms: list[QueryTerm]
    corrected: list[str]


def understand(
    text: str,
    lexicon: Lexicon,
    synonyms: SynonymLookup = no_synonyms,
    *,
    typing: bool = False,
    tolerance: Tolerance | None = TOLERANT,
    stop_words: Collection[str] | None = None,
    adjacent: AdjacentWords = NO_ADJACENT_WORDS,
) -> Query:
    """Return a query whose terms have their alternatives in the index.

    lexicon: words of the engine snapshot that is searched
    synonyms: synonyms in force
    typing: whether the last word may be unfinished
    tolerance: how far words may be misspelt; None if they may not
    stop_words: folded words that a document need not have; None for those of the index's languages
    adjacent: words side by side in titles
    """
    stem = lexicon.languages.stem
    typed = read_query(text)
    analysis = analyze_query(typed.text)
    words = analysis.words[:MAX_QUERY_TERMS]
    compounds = _indexed_compounds(analysis, len(words), lexicon)
    is_foreign = lexicon.languages.is_foreign_sentence(words) and not _is_in_titles(words, adjacent, stem)
    guessing = NO_GUESSING if is_foreign else _guessing(words, compounds, lexicon, tolerance)
    terms, corrected = _terms(words, analysis, compounds, lexicon, guessing, typing=typing, adjacent=adjacent)
    if guessing.joins:
        terms = _with_adjacent_joined(terms, lexicon)
    terms, rule_ids, left_out = _with_synonyms(terms[:MAX_QUERY_TERMS], synonyms, lexicon)
    return Query(
        text=typed.text,
        words=tuple(words),
        terms=tuple(_with_stop_words(terms, lexicon.languages.stop_words if stop_words is None else stop_words)),
        did_you_mean=" ".join(corrected) if corrected != words else None,
        rule_ids=rule_ids,
        left_out=left_out,
        required=tuple(_phrase(words, stem) for phrase in typed.phrases if (words := analyze_query(phrase).words)),
        excluded=tuple(phrase for words in typed.excluded for phrase in _spellings(analyze_query(words), stem)),
        is_foreign=is_foreign,
    )


def _is_in_titles(words: Sequence[str], adjacent: AdjacentWords, stem: Stem) -> bool:
    """Whether titles have most of the words side by side, in order."""
    pairs = list(pairwise(map(stem, words)))
    return sum(pair in adjacent.pairs for pair in pairs) >= MIN_TITLE_SHARE * len(pairs)


def _guessing(
    words: Sequence[str], compounds: dict[int, Compound], lexicon: Lexicon, tolerance: Tolerance | None
) -> _Guessing:
    """Return what may be guessed. tolerance: that the search asked for"""
    n_unknown = len(words) - _n_known(words, compounds, lexicon)
    if len(words) >= SENTENCE_FROM and n_unknown > 1 and n_unknown >= UNKNOWN_FROM_SHARE * len(words):
        return NO_GUESSING
    return _Guessing(tolerance, splits=n_unknown <= 1)


def _terms(
    words: Sequence[str],
    analysis: Analysis,
    compounds: dict[int, Compound],
    lexicon: Lexicon,
    guessing: _Guessing,
    *,
    typing: bool,
    adjacent: AdjacentWords,
) -> _Terms:
    terms: list[QueryTerm] = []
    corrected: list[str] = []
    position, stem = 0, lexicon.languages.stem
    while position < len(words):
        compound = compounds.get(position)
        if compound is not None:
            parts = tuple(words[position : compound.end])
            same = dict.fromkeys(_texts_of(compound.start, compound.end, analysis))
            alternatives = tuple(exact(text, lexicon) for text in same if _count(text, lexicon))
            alternatives += _in_other_units(compound, lexicon)
            terms.append(QueryTerm(compound.text, alternatives, parts=parts))
            corrected += parts
            position = compound.end
            continue
        word = words[position]
        tolerated = None if _is_in_model_number(position, analysis) else guessing.tolerance
        position += 1
        is_last = position == len(words) and guessing.completes
        before, after = (stem(words[i]) if 0 <= i < len(words) else "" for i in (position - 2, position))
        fits = fits_beside(before, after, adjacent, stem)
        alternatives = alternatives_of(
            word, lexicon, is_last=is_last, typing=is_last and typing, tolerance=tolerated, fits=fits
        )
        alternatives += tuple(_of_number(position - 1, analysis, lexicon))
        halves: tuple[str, ...] = ()
        if _count(word, lexicon):
            alternatives += _as_phrase(_open_compound(word, lexicon, adjacent), lexicon)
        elif guessing.splits:
            halves = _open_compound(word, lexicon, adjacent)
            halves = halves or _split(word, lexicon, adjacent, only_pairs=bool(alternatives))
        if halves:
            terms += [QueryTerm(half, (exact(half, lexicon),)) for half in halves]
            corrected += halves
        else:
            terms.append(QueryTerm(word, alternatives))
            corrected.append(_spelt(terms[-1], lexicon, tolerated))
    return _Terms(terms, corrected)


def _n_known(words: Sequence[str], compounds: dict[int, Compound], lexicon: Lexicon) -> int:
    """Return how many of a query's words are in the index, alone or in a compound."""
    in_compounds = {i for compound in compounds.values() for i in range(compound.start, compound.end)}
    return sum(i in in_compounds or _count(word, lexicon) > 0 for i, word in enumerate(words))


def _spelt(term: QueryTerm, lexicon: Lexicon, tolerance: Tolerance | None) -> str:
    """Return how a word is probably meant to be spelt. tolerance: None if it is not misspelt"""
    if term.correction is not None:
        return term.correction.word
    if term.word in lexicon.languages.stop_words:
        return term.word
    return (more_frequent(term.word, lexicon, tolerance) if tolerance is not None else "") or term.word


def _indexed_compounds(analysis: Analysis, n_words: int, lexicon: Lexicon) -> dict[int, Compound]:
    """Return the compounds that are one term of the query, by first position; of overlapping ones the longest.

    These are the ones that documents contain: so dv7-1211ea does not find every product with a 7 in it. A number with
    its unit is one in any case: `5 TB` does not find 5 discs of 1 TB. So is what is left of a model number that no
    document has: T36 does not find T11.
    """
    several = [c for c in analysis.compounds if c.end <= n_words and c.end - c.start > 1]
    indexed = [c for c in several if c.is_measure or _count(c.text, lexicon)]
    unknown = [c for c in several if _is_unknown_model(analysis.words[c.start : c.end], lexicon)]
    covered: set[int] = set()
    chosen: dict[int, Compound] = {}
    for compound in [*_longest_first(indexed), *_longest_first(unknown)]:
        positions = range(compound.start, compound.end)
        if covered.isdisjoint(positions):
            covered.update(positions)
            chosen[compound.start] = compound
    return chosen


def _longest_first(compounds: Sequence[Compound]) -> list[Compound]:
    return sorted(compounds, key=lambda c: (c.start - c.end, c.start))


def _is_unknown_model(words: Sequence[str], lexicon: Lexicon) -> bool:
    """Whether words written as one are a model number, such as T36, with a number that no document has."""
    letters = [word for word in words if word.isalpha()]
    numbers = [word for word in words if not word.isalpha()]
    is_model = bool(letters) and all(len(word) <= MAX_MODEL_LETTERS for word in letters)
    return is_model and not all(_count(word, lexicon) for word in numbers)


def _in_other_units(compound: Compound, lexicon: Lexicon) -> tuple[Alternative, ...]:
    """Return what documents have for a number with its unit in other units: 1000 GB for 1 TB."""
    same = in_other_units(compound.text) if compound.is_measure else []
    return tuple(Alternative(text, text, JOINED_WEIGHT, "compound") for text in same if lexicon.count(text))


def _of_number(position: int, analysis: Analysis, lexicon: Lexicon) -> list[Alternative]:
    """Return what else documents may have for a number: 3 for 3.0."""
    others = _texts_of(position, position + 1, analysis)
    return [Alternative(text, text, JOINED_WEIGHT, "compound") for text in others if lexicon.count(text)]


def _texts_of(start: int, end: int, analysis: Analysis) -> list[str]:
    """Return the compounds that are made of exactly these words."""
    return [compound.text for compound in analysis.compounds if (compound.start, compound.end) == (start, end)]


def _is_in_model_number(position: int, analysis: Analysis) -> bool:
    """Whether a word is a part of a compound with digits: a similar model number is another product."""
    return any(c.start <= position < c.end and not c.text.isalpha() for c in analysis.compounds)


def _open_compound(word: str, lexicon: Lexicon, adjacent: AdjacentWords) -> tuple[str, ...]:
    """Return a word as the two words that titles also write for it: t shirt for tshirt. Returns () if they do not."""
    cut = adjacent.open_compounds.get(lexicon.languages.stem(word), 0)
    return (word[:cut], word[cut:]) if 0 < cut < len(word) else ()


def _as_phrase(words: tuple[str, ...], lexicon: Lexicon) -> tuple[Alternative, ...]:
    """Return words side by side as the alternative of one word; () of no words."""
    stems = " ".join(map(lexicon.languages.stem, words))
    return (Alternative(stems, " ".join(words), JOINED_WEIGHT, "compound"),) if words else ()


def _split(word: str, lexicon: Lexicon, adjacent: AdjacentWords, *, only_pairs: bool) -> tuple[str, ...]:
    """Split letters into two words of the index. Returns () if they are not made of two.

    Two that stand side by side in titles are likeliest, then the most frequent. Other words of two letters are none:
    cheap is not ch and eap.

    only_pairs: only into two that stand side by side in titles
    """
    if not word.isalpha() or (only_pairs and not adjacent.pairs):
        return ()
    stem = lexicon.languages.stem
    best: tuple[str, ...] = ()
    best_rank = (False, 0)
    for cut in range(MIN_SPLIT_CHARS, len(word) - MIN_SPLIT_CHARS + 1):
        halves = word[:cut], word[cut:]
        is_pair = (stem(halves[0]), stem(halves[1])) in adjacent.pairs
        rank = is_pair, min(_count(half, lexicon) for half in halves)
        may_be = is_pair or not (only_pairs or min(map(len, halves)) <= MIN_SPLIT_CHARS)
        if rank[1] and rank > best_rank and may_be:
            best, best_rank = halves, rank
    return best


def _with_adjacent_joined(terms: list[QueryTerm], lexicon: Lexicon) -> list[QueryTerm]:
    """Let two adjacent words written as one stand for each of them: `note book` also finds notebook.

    It is left out if it is rarer than both of them: `de terror con fantasmas` asks for no Terrorcon.
    """
    for position in range(len(terms) - 1):
        both = terms[position].word, terms[position + 1].word
        text = "".join(both)
        count = _count(text, lexicon)
        if count and count >= min(_count(word, lexicon) for word in both):
            joined = Alternative(lexicon.languages.stem(text), text, JOINED_WEIGHT, "compound")
            for place in (position, position + 1):
                terms[place] = _added(terms[place], joined)
    return terms


def _with_synonyms(
    terms: list[QueryTerm], synonyms: SynonymLookup, lexicon: Lexicon
) -> tuple[list[QueryTerm], tuple[str, ...], tuple[str, ...]]:
    """Return the terms with their synonyms, the ids of the rules that added some, and of those that had to add less.

    Several words are a phrase; 4k and wi-fi are one word if documents contain it. What would add more words than a
    query may have is left out; synonyms of its first words come first.
    """
    terms, rule_ids, left_out, n_added = list(terms), dict[str, None](), dict[str, None](), 0
    stem = lexicon.languages.stem
    stems = [_meant(term, stem) for term in terms]
    for start in range(len(terms)):
        for synonym in synonyms(stems[start:]):
            words = [synonym.compound] if lexicon.count(stem(synonym.compound)) else synonym.words
            stems_of_words = [stem(word) for word in words]
            if not all(map(lexicon.count, stems_of_words)):
                continue
            added = Alternative(" ".join(stems_of_words), " ".join(words), SYNONYM_WEIGHT, "synonym")
            positions = [p for p in range(start, start + len(synonym.phrase)) if not _has(terms[p], added)]
            if n_added + len(positions) * len(words) > MAX_ADDED_WORDS:
                left_out[synonym.rule_id] = None
                continue
            n_added += len(positions) * len(words)
            rule_ids[synonym.rule_id] = None
            for position in positions:
                terms[position] = _added(terms[position], added)
    return terms, tuple(rule_ids), tuple(left_out)


def _meant(term: QueryTerm, stem: Stem) -> str:
    """Return the stem of a term, or of what it is corrected to."""
    return term.correction.stem if term.correction is not None else stem(term.word)


def _phrase(words: Sequence[str], stem: Stem) -> Phrase:
    return Phrase(tuple(map(stem, words[:MAX_QUERY_TERMS])))


def _spellings(analysis: Analysis, stem: Stem) -> list[Phrase]:
    """Return the words of a text as a phrase, and as one word if they are written so."""
    compounds = _texts_of(0, len(analysis.words), analysis)
    return [_phrase(words, stem) for words in (analysis.words, *([compound] for compound in compounds)) if words]


def _with_stop_words(terms: Sequence[QueryTerm], stop_words: Collection[str]) -> list[QueryTerm]:
    """Make stop words optional, unless the query has nothing else."""
    if all(term.word in stop_words for term in terms):
        return list(terms)
    return [msgspec.structs.replace(term, optional=term.word in stop_words) for term in terms]


def _count(word: str, lexicon: Lexicon) -> int:
    """Return how many documents have a word."""
    return lexicon.count(lexicon.languages.stem(word))


def _has(term: QueryTerm, alternative: Alternative) -> bool:
    return any(existing.stem == alternative.stem for existing in term.alternatives)


def _added(term: QueryTerm, alternative: Alternative) -> QueryTerm:
    if _has(term, alternative):
        return term
    return msgspec.structs.replace(term, alternatives=(*term.alternatives, alternative))
