"""Columns for the attributes of documents: as many on the node whatever names documents use. Pure.

A node refuses documents once an index has too many fields, and a catalogue may have thousands of attributes. So an
attribute has its place in one of `N_COLUMNS` columns by its name, and each value there begins with the name:

    v  what is equal          name, key                      o  the order    name, 0 + number or 1 + collation of a text
    s  how it is written      name, key, text                n  amounts      name, number
    g  the first value        name, key                      d  dates        name, number
    w  its words              name, words, key, text

Numbers are letters that order as the numbers do, see `searchsvc.engines.values.number_key`. The field `KINDS` has each
name with the kinds of its values, see `searchsvc.engines.values.kinds_of`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

from searchsvc.engines.attributes import MAX_ATTRIBUTES, attributes_of
from searchsvc.engines.values import (
    AttributeValue,
    Number,
    collation_key,
    kinds_of,
    number_key,
    number_text,
    read_text,
    value_key,
    words_of,
)

N_COLUMNS: Final = 64
COLUMN_KINDS: Final = "vsogndw"
KINDS: Final = "kinds"
# An attribute has values of a few kinds.
MAX_KINDS: Final = 4 * MAX_ATTRIBUTES
NUMBER: Final = "0"
TEXT: Final = "1"
# Longer names are replaced by a hash: the node takes regular expressions of up to 1000 characters.
MAX_NAME_CHARS: Final = 400
_END: Final = "\0"
_AFTER_END: Final = "\1"

AttributeKinds = Mapping[str, frozenset[str]]


@lru_cache(maxsize=50_000)
def column(kind: str, name: str) -> str:
    """Return the path of the column that has an attribute. kind: one of `COLUMN_KINDS`"""
    return f"a.{kind}{crc32(name.encode('utf-8', 'surrogatepass')) % N_COLUMNS}"


def prefix(name: str) -> str:
    """Return what the values of an attribute begin with."""
    if len(name) > MAX_NAME_CHARS or _END in name or name.startswith(_AFTER_END):
        name = _AFTER_END + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return name + _END


def after_prefix(name: str) -> str:
    """Return what comes after all values of an attribute."""
    return prefix(name)[:-1] + _AFTER_END


def with_prefix(pattern_name: str) -> str:
    """Return a regular expression of the node for all values of an attribute."""
    return f"{_escaped(prefix(pattern_name))}.*"


def kinds_of_attribute(kinds: AttributeKinds, name: str) -> frozenset[str]:
    """Return the kinds of values of one attribute. kinds: of all"""
    return kinds.get(prefix(name).removesuffix(_END), frozenset())


def with_words(name: str, beginnings: Iterable[str]) -> str:
    """Return a regular expression for the values that have words beginning so: see `values.beginnings_of`."""
    return f"{with_prefix(name)}({'|'.join(map(_escaped, beginnings))}).*"


def number_in_order(name: str, number: Number) -> str:
    """Return a number of an attribute as it stands in its column of the order."""
    return prefix(name) + NUMBER + number_key(number)


def values_of(name: str, values: Iterable[str]) -> list[str]:
    """Return those values of a column that belong to an attribute, without its name."""
    start = prefix(name)
    return [value[len(start) :] for value in values if value.startswith(start)]


def attribute_columns(members: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the columns of a document, by kind and number, such as `v12`."""
    columns: dict[str, dict[str, None]] = {}
    for name, values in attributes_of(members):
        for kind, texts in _by_kind(name, values).items():
            columns.setdefault(column(kind, name).removeprefix("a."), {}).update(dict.fromkeys(texts))
    return {path: list(texts) for path, texts in columns.items()}


def document_kinds(members: Mapping[str, object]) -> list[str]:
    """Return the kinds of values of each attribute of a document, each after its name."""
    names = (
        prefix(name) + kind for name, values in attributes_of(members) for value in values for kind in kinds_of(value)
    )
    return list(dict.fromkeys(names))


class CountedKinds:
    """How many documents have values of each kind in each attribute, for the kinds that come first: `MAX_KINDS`."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = Counter(counts or {})

    def add(self, documents: Iterable[Mapping[str, object]], sign: int = 1) -> None:
        """Count documents. sign: -1 counts them no longer"""
        for members in documents:
            for kind in document_kinds(members):
                if kind in self._counts or len(self._counts) < MAX_KINDS:
                    self._counts[kind] += sign
                if self._counts[kind] <= 0:
                    del self._counts[kind]

    def view(self) -> dict[str, frozenset[str]]:
        """Return the kinds that some document has, by attribute."""
        by_name: dict[str, set[str]] = {}
        for name_and_kind in self._counts:
            name, _, kind = name_and_kind.rpartition(_END)
            by_name.setdefault(name, set()).add(kind)
        return {name: frozenset(kinds) for name, kinds in by_name.items()}


def _escaped(text: str) -> str:
    return re.sub(r"([^\w\0 ])", r"\\\1", text)


def _by_kind(name: str, values: Sequence[AttributeValue]) -> dict[str, list[str]]:
    start, distinct = prefix(name), list(dict.fromkeys(values))
    by_kind: dict[str, list[str]] = {kind: [] for kind in COLUMN_KINDS}
    by_kind["g"].append(start + value_key(distinct[0]))
    for value in distinct:
        key = value_key(value)
        is_new = start + key not in by_kind["v"]
        by_kind["v"].append(start + key)
        text = value if isinstance(value, str) else number_text(value)
        by_kind["s"].append(f"{start}{key}{_END}{text}")
        if is_new:
            # Once for a document, so that adding up spellings counts it once.
            by_kind["w"].append(f"{start}{words_of(text)}{_END}{key}{_END}{text}")
        if isinstance(value, str):
            by_kind["o"].append(f"{start}{TEXT}{collation_key(value).hex()}{_END}{key}")
            readings = read_text(value)
            if readings.amount is not None:
                by_kind["n"].append(start + number_key(readings.amount))
            if readings.moment is not None:
                by_kind["d"].append(start + number_key(readings.moment))
        else:
            by_kind["o"].append(number_in_order(name, value))
            by_kind["n"].append(start + number_key(value))
    return {kind: texts for kind, texts in by_kind.items() if texts}
