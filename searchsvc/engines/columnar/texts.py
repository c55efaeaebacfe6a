"""Distinct texts, numbered as they come: a row of letters and a table of hashes instead of a dictionary of objects.

A text costs its letters and some thirty bytes, a fifth of what it costs in a dictionary and a list, and what a snapshot
holds is mapped. One writer, any number of readers: nothing is ever moved or renumbered.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np

from searchsvc.engines.columnar import kernels
from tuning.arrays import AnyArray

MIN_SLOTS: Final = 8
# A table is made anew, twice as large, once it is fuller than this.
MAX_LOAD: Final = 0.6
# So many letters are compared at once, and so few texts one by one.
KEY_BYTES: Final = 8
FEW: Final = 64


class StoredTexts(msgspec.Struct, frozen=True):
    """letters: (n_bytes,) all texts in UTF-8, one after another. ends: (n,) where each ends. hashes: (n,)."""

    letters: AnyArray
    ends: AnyArray
    hashes: AnyArray

    @staticmethod
    def empty() -> StoredTexts:
        return StoredTexts(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.uint32))


class Texts(Sequence[str]):
    """stored: what a snapshot held; whatever is added comes after it."""

    def __init__(self, stored: StoredTexts | None = None) -> None:
        self._stored = stored or StoredTexts.empty()
        self._n_stored = len(self._stored.ends)
        self._letters = bytearray()
        self._ends = array("q")
        self._hashes = array("I")
        # Made when it is first asked for: of thousands of attributes few ever are.
        self._table: AnyArray | None = None
        self._making = threading.Lock()

    def __len__(self) -> int:
        return self._n_stored + len(self._ends)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return self._bytes(number).decode("utf-8", "surrogatepass")

    def number(self, text: str) -> int | None:
        """Of a text; None where it is not there."""
        data = _encoded(text)
        return next((number for number in self._same_hash(_hash(text)) if self._bytes(number) == data), None)

    def alike(self, text: str) -> list[int]:
        """The numbers of a text in whatever case."""
        folded = text.casefold()
        return [number for number in self._same_hash(_hash(text)) if self[number].casefold() == folded]

    def add(self, text: str) -> int:
        """The number of a text, a new one where it is new."""
        known = self.number(text)
        if known is not None:
            return known
        number = len(self)
        self._letters += _encoded(text)
        self._ends.append(len(self._letters))
        self._hashes.append(_hash(text))
        table = self._made()
        if number + 1 > MAX_LOAD * len(table):
            self._table = self._seated()
        else:
            mask = len(table) - 1
            at = self._hashes[-1] & mask
            while table.item(at) >= 0:
                at = (at + 1) & mask
            table[at] = number
        return number

    def first(self, numbers: AnyArray, n: int) -> AnyArray:
        """Those of some numbers whose texts are the first n in alphabetical order, and few more. numbers: (m,).

        A zero in front of a text does not count.
        """
        if len(numbers) <= max(n, FEW):
            return numbers
        letters, ends = self._all()
        chosen = []
        for offset in range(0, int(np.diff(ends, prepend=0)[numbers].max()), KEY_BYTES):
            keys = np.empty(len(numbers), np.uint64)
            kernels.letters_from(letters, ends, numbers, offset, keys)
            last = np.partition(keys, n - 1)[n - 1]
            chosen.append(numbers[keys < last])
            numbers, n = numbers[keys == last], n - len(chosen[-1])
            if len(numbers) <= max(n, FEW):
                break
        return np.concatenate([*chosen, numbers])

    def store(self) -> StoredTexts:
        if not self._ends:
            return self._stored
        return StoredTexts(*self._all(), np.concatenate([self._stored.hashes, np.array(self._hashes, np.uint32)]))

    def _all(self) -> tuple[AnyArray, AnyArray]:
        """letters, ends: of all."""
        old = self._stored
        if not self._ends:
            return old.letters, old.ends
        # Ends first: the writer may be ahead, and letters without an end do no harm.
        ends = np.array(self._ends, np.int64) + len(old.letters)
        letters = np.frombuffer(bytes(self._letters), np.uint8)
        return np.concatenate([old.letters, letters]), np.concatenate([old.ends, ends])

    def _bytes(self, number: int) -> bytes:
        at = number - self._n_stored
        if at >= 0:
            return bytes(self._letters[self._ends[at - 1] if at else 0 : self._ends[at]])
        ends = self._stored.ends
        return self._stored.letters[ends.item(number - 1) if number else 0 : ends.item(number)].tobytes()

    def _same_hash(self, hashed: int) -> list[int]:
        """The numbers of all texts with a hash."""
        table = self._made()
        mask = len(table) - 1
        at = hashed & mask
        found = []
        while (number := table.item(at)) >= 0:
            new = number - self._n_stored
            if (self._hashes[new] if new >= 0 else self._stored.hashes.item(number)) == hashed:
                found.append(number)
            at = (at + 1) & mask
        return found

    def _made(self) -> AnyArray:
        table = self._table
        if table is None:
            with self._making:
                table = self._table
                if table is None:
                    table = self._table = self._seated()
        return table

    def _seated(self) -> AnyArray:
        """(n_slots,) a table with room for as many again: a number is at its text's hash, or in the next free slot."""
        hashes = np.concatenate([self._stored.hashes, np.array(self._hashes, np.uint32)])
        n_slots = MIN_SLOTS
        while len(hashes) > MAX_LOAD / 2 * n_slots:
            n_slots *= 2
        table = np.full(n_slots, -1, np.int32)
        kernels.seat(hashes, table)
        return table


def _hash(text: str) -> int:
    """The same for a text in whatever case."""
    return crc32(_encoded(text.casefold()))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
