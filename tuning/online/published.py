"""What was published about the behavior values of documents, and what has to be published next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeAlias

import msgspec

# A change of the factor, or of the lift, by less is not published.
MIN_FACTOR_CHANGE: Final = 0.01
MIN_LIFT: Final = 0.1
# Values that are examined in one turn: those that may have changed, and some of the others, because values of
# documents that are no longer shown decay.
MAX_CHANGED: Final = 2000
REVISITED: Final = 20

# The query's words, '' for the value over all queries; the document's id.
Key: TypeAlias = tuple[str, str]
# Factor and log2 lift.
Value: TypeAlias = tuple[float, float]


class PublishedValues:
    """The behavior values that were published.

    values: by key; a document that is like others has no entry.
    """

    def __init__(self) -> None:
        self.values: dict[Key, Value] = {}
        # Keys that serving may hold another value of.
        self._unconfirmed: set[Key] = set()
        # Keys to examine, in order; the values are None.
        self._changed: dict[Key, None] = {}

    def mark_changed(self, keys: Iterable[Key]) -> None:
        """Examine the values of these keys in one of the next turns."""
        self._changed |= dict.fromkeys(keys)

    def mark_unconfirmed(self, keys: Iterable[Key]) -> None:
        """Publish the values of these keys again, even if they have not changed."""
        self._unconfirmed |= set(keys)
        self._changed |= dict.fromkeys(self._unconfirmed)

    def next_keys(self) -> list[Key]:
        """Return the keys to examine in this turn."""
        keys = list(islice(self._changed, MAX_CHANGED))
        for key in keys:
            del self._changed[key]
        for key in list(islice(self.values, REVISITED)):
            # To the end, so that all have their turn.
            self.values[key] = self.values.pop(key)
            keys.append(key)
        return keys

    def update(self, key: Key, value: Value | None) -> bool:
        """Record a value, and return whether to publish it. value: None if the document is like others."""
        before, unconfirmed = self.values.get(key), key in self._unconfirmed
        self._unconfirmed.discard(key)
        if value is None:
            self.values.pop(key, None)
            return unconfirmed or before is not None
        if before is not None and not unconfirmed and not _differs(before, value):
            return False
        self.values[key] = value
        return True

    def take_over(self, predecessor: PublishedValues) -> None:
        """Continue from what another learner published, and examine all of it."""
        self.values, self._unconfirmed = predecessor.values, predecessor._unconfirmed
        self.mark_changed(predecessor.values)

    def parts(self) -> tuple[list[tuple[Key, Value]], list[Key]]:
        """Return the state that `restore` takes."""
        return list(self.values.items()), list(self._unconfirmed)

    def restore(self, packed: bytes) -> None:
        """Continue from packed `parts`. Values may not have been published before the stop, so all are unconfirmed."""
        values, unconfirmed = msgspec.msgpack.decode(packed, type=tuple[list[tuple[Key, Value]], list[Key]])
        self.values = dict(values)
        self.mark_unconfirmed((*self.values, *unconfirmed))


def _differs(before: Value, value: Value) -> bool:
    if (value[0] == 1.0) != (before[0] == 1.0) or (value[1] == 0.0) != (before[1] == 0.0):
        return True
    return abs(value[0] - before[0]) >= MIN_FACTOR_CHANGE or abs(value[1] - before[1]) >= MIN_LIFT
