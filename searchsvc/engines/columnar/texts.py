"""Distinct texts, numbered in the order in which they are added.

The texts are stored as one sequence of bytes and a hash table, not as a dictionary of objects. A text costs its bytes
and about thirty more, a fifth of what it costs in a dictionary and a list. Texts of a snapshot are mapped from disk.
"""

from __future__ import annotations

import threading
import unicodedata
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np

from searchsvc.engines.columnar import kernels
from tuning.arrays import AnyArray

MIN_TABLE_SIZE: Final = 8
# Share of the hash table in use from which a larger one is made.
MAX_LOAD: Final = 0.6
# Later code points are of ideographs, which have no case.
N_FOLDED: Final = 0x2_0000
# Texts that were added lately are remembered with their numbers, unless there are more than this number.
MAX_RECENT: Final = 50_000
# As many texts or fewer are not narrowed down by their characters: the caller compares them one by one.
MAX_UNFILTERED_TEXTS: Final = 64


class StoredTexts(msgspec.Struct, frozen=True):
    """Texts as plain arrays.

    letters: (n_bytes,) all texts in UTF-8, one after another
    ends: (n,) where each text ends
    hashes: (n,)
    """

    letters: AnyArray
    ends: AnyArray
    hashes: AnyArray

    @staticmethod
    def empty() -> StoredTexts:
        return StoredTexts(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.uint32))


class Texts(Sequence[str]):
    """Texts by number, for one writer and any number of readers: nothing is ever moved or renumbered.

    stored: the first texts
    """

    def __init__(self, stored: StoredTexts | None = None) -> None:
        self._stored = stored or StoredTexts.empty()
        self._n_stored = len(self._stored.ends)
        self._letters = bytearray()
        self._ends = array("q")
        self._hashes = array("I")
        # Made on first use: of thousands of attributes few are ever filtered by.
        self._table: AnyArray | None = None
        self._making_table = threading.Lock()
        # For the writer: documents repeat words and values, and looking one up costs ten times as much.
        self._recent: dict[str, int] = {}

    def __len__(self) -> int:
        return self._n_stored + len(self._ends)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return self._bytes(number).decode("utf-8", "surrogatepass")

    def number(self, text: str) -> int | None:
        """Return the number of a text, or None if it was not added."""
        data = _encode(text)
        return next((number for number in self._same_hash(_hash(text)) if self._bytes(number) == data), None)

    def numbers_ignoring_case(self, text: str) -> list[int]:
        """Return the numbers of a text in any case."""
        folded = text.casefold()
        return [number for number in self._same_hash(_hash(text)) if self[number].casefold() == folded]

    def add(self, text: str) -> int:
        """Return the number of a text; add it if it is new."""
        number = self._recent.get(text)
        if number is None:
            number = self.number(text)
            if number is None:
                number = self._append(text)
            if len(self._recent) == MAX_RECENT:
                self._recent.clear()
            self._recent[text] = number
        return number

    def _append(self, text: str) -> int:
        number = len(self)
        self._letters += _encode(text)
        self._ends.append(len(self._letters))
        self._hashes.append(_hash(text))
        table = self._hash_table()
        if number + 1 > MAX_LOAD * len(table):
            self._table = self._new_table()
        else:
            mask = len(table) - 1
            position = self._hashes[-1] & mask
            while table.item(position) >= 0:
                position = (position + 1) & mask
            table[position] = number
        return number

    def first(self, numbers: AnyArray, n: int) -> AnyArray:
        """Select the n texts that are first in the order of their code points without case, and a few more.

        A zero byte before a text does not count.

        numbers: (m,) of the texts to select from, as they are encoded by NFC

        Returns the numbers of those selected.
        """
        if len(numbers) <= max(n, MAX_UNFILTERED_TEXTS):
            return numbers
        letters, ends = self._letters_and_ends()
        starts = np.where(numbers > 0, ends[numbers - 1], 0)
        starts += (starts < ends[numbers]) & (letters[np.minimum(starts, len(letters) - 1)] == 0)
        chosen = []
        while len(numbers) > max(n, MAX_UNFILTERED_TEXTS) and (starts < ends[numbers]).any():
            keys = np.empty(len(numbers), np.int64)
            kernels.sort_keys(letters, ends, numbers, _folded(), starts, keys)
            is_known = keys >= 0
            chosen.append(numbers[~is_known])
            numbers, starts, keys = numbers[is_known], starts[is_known], keys[is_known]
            if len(numbers) > n:
                last = np.partition(keys, n - 1)[n - 1]
                chosen.append(numbers[keys < last])
                n -= len(chosen[-1])
                numbers, starts = numbers[keys == last], starts[keys == last]
        return np.concatenate([*chosen, numbers])

    def store(self) -> StoredTexts:
        """Return all texts as plain arrays."""
        if not self._ends:
            return self._stored
        hashes = np.concatenate([self._stored.hashes, np.array(self._hashes, np.uint32)])
        return StoredTexts(*self._letters_and_ends(), hashes)

    def _letters_and_ends(self) -> tuple[AnyArray, AnyArray]:
        stored = self._stored
        if not self._ends:
            return stored.letters, stored.ends
        # Read the ends first: the writer may be ahead, and bytes after the last end do no harm.
        ends = np.array(self._ends, np.int64) + len(stored.letters)
        letters = np.frombuffer(bytes(self._letters), np.uint8)
        return np.concatenate([stored.letters, letters]), np.concatenate([stored.ends, ends])

    def _bytes(self, number: int) -> bytes:
        added = number - self._n_stored
        if added >= 0:
            return bytes(self._letters[self._ends[added - 1] if added else 0 : self._ends[added]])
        ends = self._stored.ends
        return self._stored.letters[ends.item(number - 1) if number else 0 : ends.item(number)].tobytes()

    def _same_hash(self, hashed: int) -> list[int]:
        """Return the numbers of all texts with a hash."""
        table = self._hash_table()
        mask = len(table) - 1
        position = hashed & mask
        numbers = []
        while (number := table.item(position)) >= 0:
            added = number - self._n_stored
            if (self._hashes[added] if added >= 0 else self._stored.hashes.item(number)) == hashed:
                numbers.append(number)
            position = (position + 1) & mask
        return numbers

    def _hash_table(self) -> AnyArray:
        table = self._table
        if table is None:
            with self._making_table:
                table = self._table
                if table is None:
                    table = self._table = self._new_table()
        return table

    def _new_table(self) -> AnyArray:
        """Return an open hash table of all numbers, with room for as many again. -1 marks a free place."""
        hashes = np.concatenate([self._stored.hashes, np.array(self._hashes, np.uint32)])
        size = MIN_TABLE_SIZE
        while len(hashes) > MAX_LOAD / 2 * size:
            size *= 2
        table = np.full(size, -1, np.int32)
        kernels.fill_hash_table(hashes, table)
        return table


@cache
def _folded() -> AnyArray:
    """Return (N_FOLDED,) what each code point is without case; -1 if that is several.

    It is -1 for the marks that some of these end in, too: with one, a character may be another once its case is gone.
    """
    foldings = [chr(point).casefold() for point in range(N_FOLDED)]
    marks = {mark for folding in foldings for mark in folding[1:] if unicodedata.combining(mark)}
    points = [-1 if len(folding) > 1 or folding in marks else ord(folding) for folding in foldings]
    return np.array(points, np.int32)


def _hash(text: str) -> int:
    """Return a hash that does not depend on case."""
    return crc32(_encode(text.casefold()))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
