"""What a query asks for, once its words have been held against those of an index. Pure values.

A query is a row of terms. Each term has *alternatives*: the stem of the word itself, of words it was mistyped for or is
the beginning of, of compounds and synonyms. A document holds the term if it holds any of them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

AlternativeKind = Literal["exact", "compound", "prefix", "typo", "synonym"]
Operator = Literal["all", "any"]
RequestedOperator = Literal["auto", "all", "any"]


class Alternative(msgspec.Struct, frozen=True):
    """A stem that stands for a query's term. word: the one it came from. weight: (0, 1], what finding it is worth
    beside the word itself."""

    stem: str
    word: str
    weight: float
    kind: AlternativeKind


class QueryTerm(msgspec.Struct, frozen=True):
    """One word of a query. optional: a stop word among others; it need not be found. parts: the words of which
    it is made, where it is a compound.

    alternatives: empty where no document holds anything like it.
    """

    word: str
    alternatives: tuple[Alternative, ...]
    optional: bool = False
    parts: tuple[str, ...] = ()

    @property
    def n_words(self) -> int:
        return max(len(self.parts), 1)


class Query(msgspec.Struct, frozen=True):
    """text: as typed, trimmed. words: of the text, folded. terms: in order. did_you_mean: the whole query with its
    misspelt words replaced. rules: ids of those that gave it alternatives."""

    text: str
    words: tuple[str, ...] = ()
    terms: tuple[QueryTerm, ...] = ()
    did_you_mean: str | None = None
    rules: tuple[str, ...] = ()

    @property
    def required(self) -> list[int]:
        """The places of the terms that a document has to hold, as far as any document holds them."""
        return [i for i, term in enumerate(self.terms) if not term.optional]
