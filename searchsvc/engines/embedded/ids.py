"""Which document a slot holds, and which slot holds a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.texts import StoredTexts, Texts
from tuning.arrays import AnyArray, BoolArray

KEY_BYTES: Final = 16


class StoredIds(msgspec.Struct, frozen=True):
    """Document ids as plain arrays.

    texts: the ids, each once
    of_slot: (n_slots,) number of each slot's id
    keys: (n_slots, 2) see `id_keys`
    """

    texts: StoredTexts
    of_slot: AnyArray
    keys: AnyArray


class Ids:
    """The writer's side.

    stored: the slots of a snapshot on disk
    live: (n_slots,) which of them hold a document
    """

    def __init__(self, stored: StoredIds | None = None, live: BoolArray | None = None) -> None:
        self._texts = Texts(stored.texts if stored else None)
        self._of_slot = Column(np.int32, rows=stored.of_slot if stored else None)
        self._keys = Column(np.uint64, 2, rows=stored.keys if stored else None)
        # By number of the id, -1 if no live document has it. Readers use it while it is written to.
        self._slot_of = np.full(len(self._texts), -1, np.int32)
        if live is not None:
            slots = np.flatnonzero(live)
            self._slot_of[self._of_slot.view()[slots]] = slots

    def __len__(self) -> int:
        return len(self._of_slot)

    def slot(self, document_id: str) -> int | None:
        """Return the slot of a live document, or None."""
        number = self._texts.number(document_id)
        slot = self._slot_of.item(number) if number is not None else -1
        return slot if slot >= 0 else None

    def append(self, ids: Sequence[str]) -> None:
        """Put documents into the next slots. They replace older documents with the same ids."""
        first = len(self)
        numbers = [self._texts.add(document_id) for document_id in ids]
        if len(self._texts) > len(self._slot_of):
            larger = np.full(2 * len(self._texts), -1, np.int32)
            larger[: len(self._slot_of)] = self._slot_of
            self._slot_of = larger
        self._keys.extend(id_keys(ids))
        self._of_slot.extend(np.array(numbers, np.int32))
        self._slot_of[numbers] = np.arange(first, first + len(ids))

    def drop(self, document_id: str) -> None:
        """Forget the slot of a deleted document."""
        number = self._texts.number(document_id)
        if number is not None:
            self._slot_of[number] = -1

    def view(self) -> IdsView:
        return IdsView(self._texts, self._of_slot.view(), self._keys.view(), self._slot_of)

    def store(self) -> StoredIds:
        """Return all ids as plain arrays."""
        return StoredIds(self._texts.store(), self._of_slot.view(), self._keys.view())


class IdsView(Sequence[str]):
    """The reader's side: the id of each slot of one snapshot.

    keys: (n_slots, 2) see `id_keys`
    """

    def __init__(self, texts: Texts, of_slot: AnyArray, keys: AnyArray, slot_of: AnyArray) -> None:
        self._texts = texts
        self._of_slot = of_slot
        self.keys = keys
        self._slot_of = slot_of

    def __len__(self) -> int:
        return len(self._of_slot)

    def __getitem__(self, slot: int) -> str:  # type: ignore[override]  # no slices
        document_id: str = self._texts[self._of_slot.item(slot)]
        return document_id

    def are_after(self, document_id: str, slots: AnyArray) -> BoolArray:
        """Return (n,) which slots have ids that come after an id. slots: (n,)"""
        ((first, second),) = id_keys([document_id]).tolist()
        keys = self.keys[slots]
        same_first = keys[:, 0] == np.uint64(first)
        after: BoolArray = (keys[:, 0] > np.uint64(first)) | (same_first & (keys[:, 1] > np.uint64(second)))
        for i in np.flatnonzero(same_first & (keys[:, 1] == np.uint64(second))).tolist():
            after[i] = self[int(slots[i])] > document_id
        return after

    def slot(self, document_id: str, live: BoolArray) -> int | None:
        """Return the slot of a document, or None. live: (n_slots,) of the snapshot."""
        number = self._texts.number(document_id)
        if number is None:
            return None
        slot = self._slot_of.item(number) if number < len(self._slot_of) else -1
        if 0 <= slot < len(live) and live[slot]:
            return slot
        # The writer is ahead of this snapshot: it has written or deleted the document since.
        slots = np.flatnonzero((self._of_slot == number) & live)
        return int(slots[0]) if len(slots) else None


def id_keys(ids: Sequence[str]) -> AnyArray:
    """Return (n, 2) the first sixteen bytes of each id, as two integers that order as they do."""
    data = b"".join(document_id.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"\0") for document_id in ids)
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)
