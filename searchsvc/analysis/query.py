"""An understood query: its terms and the words of the index that stand for them. Pure values.

A query is a list of terms. Each term has *alternatives*: the stems of the word itself, of words that it is the start
or a misspelling of, of compounds and of synonyms. A document contains the term if it contains any of them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

AlternativeKind = Literal["exact", "compound", "prefix", "typo", "synonym"]
Operator = Literal["all", "any"]
RequestedOperator = Literal["auto", "all", "any"]


class Alternative(msgspec.Struct, frozen=True):
    """A stem that stands for a query term.

    word: the word of the index that it is the stem of
    weight: what finding it is worth, in (0, 1]; 1 for the word itself
    """

    stem: str
    word: str
    weight: float
    kind: AlternativeKind


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


class Query(msgspec.Struct, frozen=True):
    """A query as the engines search it.

    text: as typed, trimmed; '' browses
    words: the words of the text, folded
    terms: in the order of the words
    did_you_mean: the whole query with its misspelt words replaced, None if there are none
    rule_ids: rules whose synonyms are among the alternatives
    """

    text: str
    words: tuple[str, ...] = ()
    terms: tuple[QueryTerm, ...] = ()
    did_you_mean: str | None = None
    rule_ids: tuple[str, ...] = ()

    @property
    def required_positions(self) -> list[int]:
        """Positions of the terms that are not optional."""
        return [position for position, term in enumerate(self.terms) if not term.optional]
