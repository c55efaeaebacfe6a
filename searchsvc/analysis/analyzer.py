"""Split text into words, for documents and queries alike. Pure.

A text is a list of *words*, one at each position, and of *compounds* beside them: `dv7-1211ea` is the words dv, 7, 1211
and ea, and the compounds dv7, 1211ea and dv71211ea; `17"` is 17, inch and 17inch; wi-fi is wi, fi and wifi. So a model
number is found whole and in parts, and `1 TB` by `1tb`. Words are folded (case, accents, width). The index counts their
stems (`searchsvc.analysis.stemming`) and keeps the words themselves for corrections and completions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from searchsvc.analysis.folding import words_of_run

MAX_QUERY_KEY_CHARS: Final = 100
MAX_COMPOUND_CHARS: Final = 32
# A chain of more parts is an address, a date or a path: users do not type it as one word.
MAX_COMPOUND_PARTS: Final = 4
CONNECTORS: Final = "-./'’_&+"
# Units are written with and without a space after their number.
_UNITS: Final = """
    inch inches gb tb mb kb ghz mhz khz hz mm cm m km ml cl l g kg mg w kw v mv a ma ah mah wh mp dpi ppm rpm fps bit
    pin oz lb ft
"""
UNITS: Final = frozenset(_UNITS.split())

_MARKS: Final = "\u0300-\u036f"
_RUN: Final = re.compile(rf"(?:[^\W_]|[{_MARKS}])+|(?<=\d)\s?(?:''|[\"″”])")


class Compound(NamedTuple):
    """A word made of the words at positions start to end - 1."""

    start: int
    end: int
    text: str


class Analysis(NamedTuple):
    """The words of a text.

    words: by position
    compounds: by the end of the run or chain that they are made of
    """

    words: list[str]
    compounds: list[Compound]


class Span(NamedTuple):
    """A run of letters and digits in a text.

    start: position of its first code point
    end: position after its last code point
    words: its folded words, then the compound of them, then the compound of the chain that it is a part of
    """

    start: int
    end: int
    words: tuple[str, ...]


def analyze(text: str) -> Analysis:
    """Return the words and compounds of a text."""
    words: list[str] = []
    compounds: list[Compound] = []
    chain: list[tuple[int, str]] = []
    end_before, after_number = -1, False
    for match in _RUN.finditer(text):
        parts = words_of_run(match[0])
        if not parts:
            continue
        start = len(words)
        gap = match.start() - end_before
        connected = bool(chain) and gap == 1 and text[end_before] in CONNECTORS
        if not connected:
            _add_chain(chain, len(words), compounds)
            chain = []
        if after_number and parts[0] in UNITS and (gap == 0 or text[end_before : match.start()].isspace()):
            compounds.append(Compound(start - 1, start + 1, words[-1] + parts[0]))
        words.extend(parts)
        whole = "".join(parts)
        if len(parts) > 1 and len(whole) <= MAX_COMPOUND_CHARS:
            compounds.append(Compound(start, len(words), whole))
        chain.append((start, whole))
        end_before, after_number = match.end(), parts[-1].isdecimal()
    _add_chain(chain, len(words), compounds)
    return Analysis(words, compounds)


@lru_cache(maxsize=1_000)
def analyze_query(text: str) -> Analysis:
    """Return the same as `analyze`, cached. The caller must not change it."""
    return analyze(text)


def spans(text: str) -> Iterator[Span]:
    """Yield each run of a text that `analyze` makes words of, in order."""
    chain: list[Span] = []
    for match in _RUN.finditer(text):
        parts = words_of_run(match[0])
        if not parts:
            continue
        if chain and not (match.start() - chain[-1].end == 1 and text[chain[-1].end] in CONNECTORS):
            yield from _with_chain(chain)
            chain = []
        whole = ("".join(parts),) if len(parts) > 1 else ()
        chain.append(Span(match.start(), match.end(), (*parts, *whole)))
    yield from _with_chain(chain)


def normalized(text: str) -> str:
    """Return the words of a text, folded and joined by spaces."""
    return " ".join(analyze_query(text).words)


def query_key(query: str) -> str:
    """Return the key under which statistics of a query are kept: its normalized text, cut."""
    return normalized(query)[:MAX_QUERY_KEY_CHARS]


def _add_chain(chain: Sequence[tuple[int, str]], end: int, compounds: list[Compound]) -> None:
    """Add the compound of a chain of connected runs, if it has one. chain: first position and text of each run."""
    joined = _joined([whole for _, whole in chain])
    if joined:
        compounds.append(Compound(chain[0][0], end, joined))


def _with_chain(chain: Sequence[Span]) -> Sequence[Span]:
    """Add the compound of a chain to each of its spans, if it has one."""
    joined = _joined([span.words[-1] for span in chain])
    return [Span(span.start, span.end, (*span.words, joined)) for span in chain] if joined else chain


def _joined(parts: Sequence[str]) -> str:
    """Join parts that are written with hyphens, dots and the like between them; '' if they are not written as one.

    Numbers keep a point: 4.5 is not 45.
    """
    if not 1 < len(parts) <= MAX_COMPOUND_PARTS:
        return ""
    joined = parts[0]
    for before, part in pairwise(parts):
        joined += f".{part}" if before.isdecimal() and part.isdecimal() else part
    return joined if len(joined) <= MAX_COMPOUND_CHARS else ""
