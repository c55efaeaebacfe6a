"""Split text into words, for documents and queries alike. Pure.

A text is a list of *words*, one at each position, and of *compounds* beside them: `dv7-1211ea` is the words dv, 7, 1211
and ea, and the compounds dv7, 1211ea and dv71211ea; `17"` is 17, inch and 17inch; wi-fi is wi, fi and wifi. So a model
number is found whole and in parts, and `1 TB` by `1tb`. A number that may be meant otherwise is a compound, too: 3.0 is
also 3, and 3.500 also 3500. Words are folded (`searchsvc.analysis.folding`). The index counts their stems
(`searchsvc.analysis.stemming`) and keeps the words themselves for corrections and completions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from searchsvc.analysis.folding import FILLER, is_unseen
from searchsvc.analysis.numbers import Number
from searchsvc.analysis.query_syntax import read_query
from searchsvc.analysis.spacing import spaced
from searchsvc.analysis.tokens import MAX_WORD_CHARS, Token, tokens
from searchsvc.analysis.units import DEGREE, POWERS, UNITS, measure_of

MAX_QUERY_KEY_CHARS: Final = 100
MAX_COMPOUND_CHARS: Final = 32
# A chain of more parts is an address, a date or a path: users do not type it as one word.
MAX_COMPOUND_PARTS: Final = 4
HYPHENS: Final = "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
# What may stand before a minus in a piece of text without spaces; behind anything else it is a hyphen.
BEFORE_MINUS: Final = "([{/:~<>=≤≥±,;.…\"'“‘«"
# The last two stand within Hebrew words.
CONNECTORS: Final = f"{HYPHENS}./'’_&+\u05f3\u05f4"
# Of digits that a space parts.
THOUSANDS_CHARS: Final = 3
_PIECE: Final = re.compile(r"\S+")
# M8x4: a dimension with a side of several words has this many tokens, or more.
MIN_SIDES_TOKENS: Final = 4
# Longer pieces are hardly ever met again.
MAX_CACHED_CHARS: Final = 40
# Most pieces are one word with punctuation around it.
_PLAIN: Final = re.compile(rf"""([(\["']*)([A-Za-z]{{1,{MAX_WORD_CHARS}}})[)\]"',.;:!?]*""")


class Compound(NamedTuple):
    """A word made of the words at positions start to end - 1.

    is_measure: whether it is a number and its unit
    """

    start: int
    end: int
    text: str
    is_measure: bool = False


class Analysis(NamedTuple):
    """The words of a text.

    words: by position
    compounds: by the end of the run or chain that they are made of
    """

    words: list[str]
    compounds: list[Compound]


class Span(NamedTuple):
    """A run of letters and digits in a text, or a word of a script without spaces.

    start: position of its first code point
    end: position after its last code point
    words: its folded words, then the compounds that it is, and the compound of the chain that it is a part of
    """

    start: int
    end: int
    words: tuple[str, ...]


# Tokens that nothing stands between, and runs that connectors stand between.
Run = list[Token]
Chain = list[Run]


class _Piece(NamedTuple):
    """The words of a piece of text without spaces.

    first: its first word, if it begins the piece; else ''. Of m2 it is both words
    number: the number at its end, if one ends the piece
    dimension: the run that ends the piece, if it is one such as 5x10, and how many words it has
    """

    words: tuple[str, ...]
    compounds: tuple[Compound, ...]
    first: str
    number: Number | None
    dimension: tuple[str, int] | None = None


def analyze(text: str) -> Analysis:
    """Return the words and compounds of a text."""
    words: list[str] = []
    compounds: list[Compound] = []
    # The number before a space, the position of its first word, and the dimension that it ends.
    before: Number | None = None
    before_start = 0
    before_dimension: tuple[str, int] | None = None
    for part in spaced(text).split():
        its_words, its_compounds, first, number, dimension = (
            _piece(part) if len(part) <= MAX_CACHED_CHARS else _read_piece(part)
        )
        if number is before is None and not its_compounds:
            words += its_words
            continue
        n = len(words)
        start = n + len(its_words) - 1
        if before is not None:
            if first in UNITS:
                end = n + (1 if its_words[0] == first.lstrip(DEGREE) else 2)
                compounds += _across(before, before_dimension, first, _Place(before_start, n, end))
            elif number is not None and len(its_words) == 1:
                thousands = _thousands(before, number, before_start, n)
                compounds += thousands
                if thousands:
                    # Of 1 500 ml, the unit belongs to 1500.
                    number, start = Number(thousands[0].text, thousands[0].text), before_start
        if its_compounds:
            compounds += [Compound(begin + n, end + n, of, is_measure) for begin, end, of, is_measure in its_compounds]
        words += its_words
        before, before_start, before_dimension = number, start, dimension
    return Analysis(words, compounds)


@lru_cache(maxsize=1_000)
def analyze_query(text: str) -> Analysis:
    """Return the same as `analyze`, cached. The caller must not change it."""
    return analyze(text)


def spans(text: str) -> Iterator[Span]:
    """Yield each run of a text that `analyze` makes words of, in order."""
    for match in _PIECE.finditer(spaced(text)):
        offset = match.start()
        for chain in _chains(match[0]):
            joined = _joined(chain, match[0]) if len(chain) > 1 else ""
            for run in chain:
                whole = _whole(run) if len(run) > 1 else ""
                also = [other for token in run if token.number is not None for other in _also(token.number)]
                compounds = tuple(compound for compound in (whole, joined, *also) if compound)
                if any(token.is_segment for token in run):
                    yield from (Span(offset + t.start, offset + t.end, (t.word, *compounds)) for t in run)
                else:
                    yield Span(offset + run[0].start, offset + run[-1].end, (*(t.word for t in run), *compounds))


def normalized(query: str) -> str:
    """Return the words that a query looks for, folded and joined by spaces."""
    return " ".join(analyze_query(read_query(query).text).words)


def query_key(query: str) -> str:
    """Return the key under which statistics of a query are kept: its normalized text, cut."""
    return normalized(query)[:MAX_QUERY_KEY_CHARS]


@lru_cache(maxsize=50_000)
def _piece(text: str) -> _Piece:
    return _read_piece(text)


def _read_piece(text: str) -> _Piece:
    text = text.replace(FILLER, "")
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        word = plain[2].lower()
        return _Piece((word,), (), "" if plain[1] else word, None)
    if text.isascii() and text.isdigit() and len(text) <= MAX_WORD_CHARS:
        return _Piece((text,), (), text, Number(text, text))
    words: list[str] = []
    compounds: list[Compound] = []
    first: Token | None = None
    last: Token | None = None
    begins_with, dimension = "", None
    for chain in _chains(text):
        start = len(words)
        for run in chain:
            for i, token in enumerate(run):
                power = _power(token, run[i + 1 : i + 2]) if text[token.start].isalpha() else ""
                if last is not None and last.number is not None and token.unit in UNITS:
                    between, n = text[last.end : token.start], len(words)
                    measures = _measure(last.number, token.unit + power, between, n - 1, n)
                    compounds += [c._replace(end=c.end + 1) for c in measures] if power else measures
                begins_with = begins_with or token.unit + power
                if token.number is not None:
                    compounds += [Compound(len(words), len(words) + 1, other) for other in _also(token.number)]
                words.append(token.word)
                first, last = first or token, token
            if len(run) > 1 and not _are_measures(run):
                compounds += _of_words(_whole(run), len(words) - len(run), len(words))
                compounds += _sides(run, len(words) - len(run)) if len(run) >= MIN_SIDES_TOKENS else []
            dimension = (_whole(run), len(run)) if _is_dimension(run) else None
        if len(chain) > 1 and not _are_measures([token for run in chain for token in run]):
            compounds += _of_words(_joined(chain, text), start, len(words))
    if first is None or last is None:
        return _Piece((), (), "", None)
    beginning = begins_with if first.start == 0 or is_unseen(text[: first.start]) else ""
    number = last.number if last.number is not None and is_unseen(text[last.end :]) else None
    return _Piece(tuple(words), tuple(compounds), beginning, number, dimension if number is not None else None)


def _power(unit: Token, after: Sequence[Token]) -> str:
    """Return the 2 of m2, or ''. after: the token that stands right after a word, if one does"""
    return after[0].word if after and after[0].word in POWERS and unit.word + after[0].word in UNITS else ""


def _is_dimension(run: Run) -> bool:
    """Whether a run is two sizes or more, without a unit, such as 5x10."""
    return len(run) > 2 and run[-1].number is not None and run[-2].word == "x" and run[-3].number is not None


class _Place(NamedTuple):
    """Where a number and the unit behind a space are: positions of their first words, and after the last."""

    start: int
    unit: int
    end: int


def _across(number: Number, dimension: tuple[str, int] | None, unit: str, place: _Place) -> list[Compound]:
    """Return what a number is together with the unit behind the space: 1 TB, and 5x10 cm.

    dimension: that the number ends: see `_Piece`
    """
    # `3 a day`: with a space, a is hardly ever the ampere.
    measures = _measure(number, unit, " ", place.start, place.unit) if unit != "a" else []
    compounds = [measure._replace(end=place.end) for measure in measures]
    if measures and dimension is not None:
        sizes, n_words = dimension
        compounds += _of_words(measure_of(sizes, unit), place.unit - n_words, place.end)
    return compounds


def _thousands(number: Number, after: Number, start: int, position: int) -> list[Compound]:
    """Return the number that two with a space between them are: 1 500, or 1 299.99.

    number: the first, which may have been two itself: of 1 000 000 it is 1000
    start: position of its first word
    position: of the word of the second
    """
    word, whole = number.word, after.value.partition(".")[0]
    is_group = len(whole) == THOUSANDS_CHARS and word.isdecimal() and word[0] != "0"
    if is_group and (len(word) <= THOUSANDS_CHARS or start < position - 1):
        return [Compound(start, position + 1, word + after.value)]
    return []


def _chains(text: str) -> Iterator[Chain]:
    """Yield the runs of a text, with those that connectors stand between together."""
    chain: Chain = []
    end = -1
    for token in tokens(text):
        if token.number is not None and _has_minus(text, token.start):
            token = token._replace(number=token.number._replace(is_negative=True))
        gap = token.start - end
        if not chain:
            chain = [[token]]
        elif gap == 0:
            chain[-1].append(token)
        elif gap == 1 and text[end] in CONNECTORS:
            chain.append([token])
        elif is_unseen(text[end : token.start]):
            chain[-1].append(token)
        else:
            yield chain
            chain = [[token]]
        end = token.end
    if chain:
        yield chain


def _has_minus(text: str, start: int) -> bool:
    """Whether a minus stands before a number, and not a hyphen, as in 2°-8°C. start: of the number"""
    return start > 0 and text[start - 1] in HYPHENS and (start == 1 or text[start - 2] in BEFORE_MINUS)


def _also(number: Number) -> list[str]:
    """Return what else a number is found by."""
    return [other for other in (number.value, number.also) if other and other != number.word]


def _is_measure(run: Run) -> bool:
    return len(run) == 2 and run[0].number is not None and run[1].unit in UNITS


def _are_measures(run: Run) -> bool:
    """Whether a run is numbers with their units, such as 6'2"."""
    return len(run) % 2 == 0 and all(_is_measure(run[i : i + 2]) for i in range(0, len(run), 2))


def _measure(number: Number, unit: str, between: str, start: int, position: int) -> list[Compound]:
    """Return a number with its unit, if that is what two words are. start, position: of the number and of the unit"""
    if unit not in UNITS or between.strip(f"{HYPHENS} {FILLER}"):
        return []
    values = [number.value, number.also] if number.also else [number.value]
    texts = (measure_of(value, unit, is_negative=number.is_negative) for value in values)
    return [Compound(start, position + 1, text, is_measure=True) for text in texts]


def _sides(run: Run, position: int) -> list[Compound]:
    """Return the parts of a dimension with several words: m8 of M8x40, 5x10 of 5x10cm. position: of the first word"""
    sizes = run[:-1] if run[-1].unit in UNITS and _is_dimension(run[:-1]) else []
    whole = _of_words(_whole(sizes), position, position + len(sizes)) if sizes else []
    places = [i for i in range(1, len(run) - 1) if run[i].word == "x" and run[i - 1].number and run[i + 1].number]
    bounds = [-1, *places, len(run)] if places else []
    sides = [(before + 1, after) for before, after in pairwise(bounds) if after - before > 2]
    sides = [(start, end) for start, end in sides if not _is_measure(run[start:end])]
    joined = ((_whole(run[start:end]), position + start, position + end) for start, end in sides)
    return [*whole, *(compound for side in joined for compound in _of_words(*side))]


def _whole(run: Run) -> str:
    """Return a run as one word."""
    if _is_measure(run):
        assert run[0].number is not None
        return measure_of(run[0].number.value, run[1].unit, is_negative=run[0].number.is_negative)
    return "".join(token.word for token in run)


def _joined(chain: Chain, text: str) -> str:
    """Join runs that are written with hyphens, dots and the like between them; '' if they are not written as one.

    What stands between two numbers stays: 3/4 is not 34.
    """
    if len(chain) > MAX_COMPOUND_PARTS:
        return ""
    joined = _whole(chain[0])
    for before, run in pairwise(chain):
        if len(before) == len(run) == 1 and before[0].number is not None and run[0].number is not None:
            connector = text[before[0].end]
            joined += "-" if connector in HYPHENS else connector
        joined += _whole(run)
    return joined


def _of_words(text: str, start: int, end: int) -> list[Compound]:
    return [Compound(start, end, text)] if text and len(text) <= MAX_COMPOUND_CHARS else []
