"""An understood query: its terms and the words of the index that stand for them. Pure values.

A query is a list of terms. Each term has *alternatives*: the stems of the word itself, of words that it is the start
or a misspelling of, of compounds and of synonyms. A document contains the term if it contains any of them. A synonym of
several words is a *phrase*: a document contains it where the words stand side by side, in order. It stands for every
term of the words that it is a synonym of.
"""

from __future__ import annotations

from typing import Literal

import msgspec

AlternativeKind = Literal["exact", "compound", "prefix", "typo", "synonym"]
Operator = Literal["all", "any"]
RequestedOperator = Literal["auto", "all", "any"]


class Alternative(msgspec.Struct, frozen=True):
    """A stem, or the stems of a phrase, that stand for a query term.

    stem: of a phrase, the stems of its words with spaces between them
    word: the word of the index that it is the stem of, or the words of the phrase
    weight: what finding it is worth, in (0, 1]; 1 for the word itself
    """

    stem: str
    word: str
    weight: float
    kind: AlternativeKind

    @property
    def is_phrase(self) -> bool:
        return " " in self.stem


class Phrase(msgspec.Struct, frozen=True):
    """Words that stand side by side in one field, in order; a word of its own is one, too. stems: of the words"""

    stems: tuple[str, ...]


class PhraseAlternative(msgspec.Struct, frozen=True):
    """A phrase that stands for some terms of a query. positions: of the terms; weight: as in `Alternative`"""

    phrase: Phrase
    positions: tuple[int, ...]
    weight: float


class QueryTerm(msgspec.Struct, frozen=True):
    """One word of a query.

    alternatives: empty if no document contains anything like it
    optional: it is a stop word and the query has other words: documents need not contain it
    parts: the words that it is made of, if it is a compound
    """

    word: str
    alternatives: tuple[Alternative, ...]
    optional: bool = False
    parts: tuple[str, ...] = ()

    @property
    def correction(self) -> Alternative | None:
        """What the word is taken to be a misspelling of, None if it is not."""
        best = self.alternatives[0] if self.alternatives else None
        return best if best is not None and best.kind == "typo" else None

    @property
    def n_words(self) -> int:
        return max(len(self.parts), 1)

    @property
    def stems(self) -> list[str]:
        """The stems that stand for the term, phrases left out."""
        return list(dict.fromkeys(a.stem for a in self.alternatives if not a.is_phrase))

    @property
    def phrases(self) -> list[Phrase]:
        """The phrases that stand for the term."""
        return [Phrase(tuple(a.stem.split())) for a in self.alternatives if a.is_phrase]


class Query(msgspec.Struct, frozen=True):
    """A query as the engines search it.

    text: as typed, trimmed, without signs; '' browses
    words: the words of the text, folded
    terms: in the order of the words
    did_you_mean: the whole query with its misspelt words replaced, None if there are none
    rule_ids: rules whose synonyms are among the alternatives
    left_out: rules some of whose synonyms are not, because a query may have only so many
    required: phrases that each document must contain
    excluded: phrases that no document may contain
    is_foreign: whether it is a sentence in a language that is none of the index's
    """

    text: str
    words: tuple[str, ...] = ()
    terms: tuple[QueryTerm, ...] = ()
    did_you_mean: str | None = None
    rule_ids: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    required: tuple[Phrase, ...] = ()
    excluded: tuple[Phrase, ...] = ()
    is_foreign: bool = False

    @property
    def phrase_alternatives(self) -> list[PhraseAlternative]:
        """The phrases among the alternatives, each once for adjacent terms that it stands for."""
        found: list[PhraseAlternative] = []
        for position, term in enumerate(self.terms):
            for alternative in term.alternatives:
                if alternative.is_phrase:
                    phrase = Phrase(tuple(alternative.stem.split()))
                    before = next((f for f in found if (f.phrase, f.positions[-1]) == (phrase, position - 1)), None)
                    if before is not None:
                        found.remove(before)
                    positions = (*before.positions, position) if before is not None else (position,)
                    found.append(PhraseAlternative(phrase, positions, alternative.weight))
        return found

    @property
    def required_positions(self) -> list[int]:
        """Positions of the terms that are not optional."""
        return [position for position, term in enumerate(self.terms) if not term.optional]
