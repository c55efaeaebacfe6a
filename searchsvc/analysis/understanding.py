"""From what somebody typed to a `Query`: which words of the index each word may stand for. Pure.

split into words; a compound that documents hold is one term
->  each word: itself, what it is the beginning of or was mistyped for, or the two it is made of
->  neighbours written as one  ->  synonyms  ->  stop words
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from searchsvc.analysis.analyzer import Analysis, Compound, analyze_query, stem
from searchsvc.analysis.lexicon import Lexicon, SimilarWord
from searchsvc.analysis.query import Alternative, AlternativeKind, Query, QueryTerm
from searchsvc.analysis.synonyms import Synonyms, no_synonyms

MAX_QUERY_TERMS: Final = 32
# Shorter words are too like each other.
ONE_EDIT_FROM: Final = 3
TWO_EDITS_FROM: Final = 8
MAX_TYPO_ALTERNATIVES: Final = 5
TYPO_WEIGHTS: Final = {1: 0.9, 2: 0.7}
# A known word is taken for a mistyped one where another, one edit away, is so much more frequent.
SUSPICIOUS_BELOW: Final = 3
SUSPICIOUS_RATIO: Final = 30
SUSPICIOUS_WEIGHT: Final = 0.5
MAX_COMPLETIONS: Final = 12
PREFIX_WEIGHT: Final = 0.8
MIN_GUESSED_PREFIX: Final = 3
MIN_SPLIT_CHARS: Final = 2
JOINED_WEIGHT: Final = 0.9
SYNONYM_WEIGHT: Final = 0.9

_STOP_WORDS: Final = """
    a an and are as at be but by for from how i in into is it its me my no not of on or s so that the their then there
    these they this to was what when where which who will with you your
"""
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())


def understand(
    text: str, lexicon: Lexicon, synonyms: Synonyms = no_synonyms, *, typing: bool = False, typos: bool = True
) -> Query:
    """typing: the last word may be unfinished. typos: a word may be mistyped."""
    analysis = analyze_query(text)
    words = analysis.words[:MAX_QUERY_TERMS]
    wholes = _wholes(analysis, len(words), lexicon)
    terms: list[QueryTerm] = []
    corrected: list[str] = []
    at = 0
    while at < len(words):
        whole = wholes.get(at)
        if whole is not None:
            terms.append(QueryTerm(whole.text, (_exact(whole.text),), parts=tuple(words[at : whole.end])))
            corrected += words[at : whole.end]
            at = whole.end
            continue
        word = words[at]
        at += 1
        last = at == len(words)
        tolerant = typos and not _of_a_model(at - 1, analysis)
        alternatives = _alternatives(word, lexicon, last=last, typing=last and typing, typos=tolerant)
        parts = () if alternatives else _split(word, lexicon)
        if parts:
            terms += [QueryTerm(part, (_exact(part),)) for part in parts]
            corrected += parts
        else:
            terms.append(QueryTerm(word, alternatives))
            corrected.append(alternatives[0].word if alternatives and alternatives[0].kind == "typo" else word)
    terms, rules = _with_synonyms(_with_joined(terms, lexicon)[:MAX_QUERY_TERMS], synonyms, lexicon)
    did_you_mean = " ".join(corrected) if corrected != words else None
    return Query(text.strip(), tuple(words), tuple(_with_stop_words(terms)), did_you_mean, rules)


def _wholes(analysis: Analysis, n_words: int, lexicon: Lexicon) -> dict[int, Compound]:
    """By first place, the compounds of the query that documents hold, longest first: dv7-1211ea is one term then, and
    not any product with a 7 in it."""
    known = [one for one in analysis.compounds if one.end <= n_words and lexicon.count(stem(one.text))]
    taken: set[int] = set()
    chosen: dict[int, Compound] = {}
    for one in sorted(known, key=lambda one: (one.start - one.end, one.start)):
        places = range(one.start, one.end)
        if taken.isdisjoint(places):
            taken.update(places)
            chosen[one.start] = one
    return chosen


def _of_a_model(at: int, analysis: Analysis) -> bool:
    """Whether a word is a part of something with digits: another model number is another product."""
    return any(one.start <= at < one.end and not one.text.isalpha() for one in analysis.compounds)


def _alternatives(word: str, lexicon: Lexicon, *, last: bool, typing: bool, typos: bool) -> tuple[Alternative, ...]:
    found: list[Alternative] = []
    count = lexicon.count(stem(word))
    if count:
        found.append(_exact(word))
    if typing or (last and not count and len(word) >= MIN_GUESSED_PREFIX):
        found += [_alternative(one, PREFIX_WEIGHT, "prefix") for one in lexicon.completions(word, MAX_COMPLETIONS)]
    if typos and (not found or count < SUSPICIOUS_BELOW) and _allowed_edits(word):
        found += _typos(word, count, lexicon)
    distinct = {one.stem: one for one in reversed(found)}
    return tuple(sorted(distinct.values(), key=lambda one: -one.weight))


def _typos(word: str, count: int, lexicon: Lexicon) -> list[Alternative]:
    alike = [one for one in lexicon.similar(word, _allowed_edits(word)) if one.word.isalpha()]
    if count:
        often = [one for one in alike if one.edits == 1 and one.frequency >= SUSPICIOUS_RATIO * count]
        return [_alternative(one, SUSPICIOUS_WEIGHT, "typo") for one in often[:1]]
    nearest = [one for one in alike if one.edits == alike[0].edits]
    return [_alternative(one, TYPO_WEIGHTS[one.edits], "typo") for one in nearest[:MAX_TYPO_ALTERNATIVES]]


def _allowed_edits(word: str) -> int:
    if len(word) < ONE_EDIT_FROM or not word.isalpha():
        return 0
    return 1 if len(word) < TWO_EDITS_FROM else 2


def _split(word: str, lexicon: Lexicon) -> tuple[str, ...]:
    """A word that is two of the index written as one; () where it is not."""
    best: tuple[str, ...] = ()
    most = 0
    for at in range(MIN_SPLIT_CHARS, len(word) - MIN_SPLIT_CHARS + 1):
        fewest = min(lexicon.count(stem(word[:at])), lexicon.count(stem(word[at:])))
        if fewest > most:
            best, most = (word[:at], word[at:]), fewest
    return best


def _with_joined(terms: list[QueryTerm], lexicon: Lexicon) -> list[QueryTerm]:
    """A document that holds two neighbours written as one holds both: `note book` where it says notebook."""
    for at in range(len(terms) - 1):
        text = terms[at].word + terms[at + 1].word
        if lexicon.count(stem(text)):
            for place in (at, at + 1):
                terms[place] = _added(terms[place], Alternative(stem(text), text, JOINED_WEIGHT, "compound"))
    return terms


def _with_synonyms(
    terms: list[QueryTerm], synonyms: Synonyms, lexicon: Lexicon
) -> tuple[list[QueryTerm], tuple[str, ...]]:
    """The terms with what the synonyms add, and the rules that added something.

    Of a phrase, the rarest word stands for it; of 4k or wi-fi, the whole where documents hold it.
    """
    terms, rules = list(terms), dict[str, None]()
    stems = [stem(term.word) for term in terms]
    for start in range(len(terms)):
        for synonym in synonyms(stems[start]):
            end = start + len(synonym.of)
            if tuple(stems[start:end]) != synonym.of:
                continue
            word = synonym.whole
            if not word or not lexicon.count(stem(word)):
                word = min(synonym.to, key=lambda one: (lexicon.count(stem(one)), one))
            if not lexicon.count(stem(word)):
                continue
            rules[synonym.rule_id] = None
            for at in range(start, end):
                terms[at] = _added(terms[at], Alternative(stem(word), word, SYNONYM_WEIGHT, "synonym"))
    return terms, tuple(rules)


def _with_stop_words(terms: Sequence[QueryTerm]) -> list[QueryTerm]:
    """Stop words are optional, unless the query has nothing else."""
    if all(term.word in STOP_WORDS for term in terms):
        return list(terms)
    return [msgspec.structs.replace(term, optional=term.word in STOP_WORDS) for term in terms]


def _added(term: QueryTerm, alternative: Alternative) -> QueryTerm:
    if any(one.stem == alternative.stem for one in term.alternatives):
        return term
    return msgspec.structs.replace(term, alternatives=(*term.alternatives, alternative))


def _exact(word: str) -> Alternative:
    return Alternative(stem(word), word, 1.0, "exact")


def _alternative(found: SimilarWord, weight: float, kind: AlternativeKind) -> Alternative:
    return Alternative(stem(found.word), found.word, weight, kind)
