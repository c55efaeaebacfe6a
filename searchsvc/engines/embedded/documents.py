"""The JSON of the documents: one append-only file and an offset for each slot.

Reads come from the page cache and take no lock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.columnar.columns import Column
from tuning.arrays import AnyArray

# Name of the file.
DOCUMENTS: Final = "documents"


class DocumentFile:
    """The writer's side. Cuts the file to the documents of the snapshot: what follows was never committed.

    ends: (n_slots + 1,) offsets of a snapshot on disk; None starts empty
    """

    def __init__(self, path: Path, ends: AnyArray | None = None) -> None:
        self.path = path
        self._ends = Column(np.int64, rows=np.zeros(1, np.int64) if ends is None else ends)
        self._file = _OpenFile(path)
        os.ftruncate(self._file.descriptor, self.size_bytes)

    @property
    def size_bytes(self) -> int:
        return int(self._ends.view()[-1])

    def append(self, documents: list[bytes]) -> None:
        """Append documents as the next slots. Raises OSError if the disk is full."""
        data = b"".join(documents)
        n_written = os.pwrite(self._file.descriptor, data, self.size_bytes)
        if n_written != len(data):
            raise OSError(f"wrote {n_written} of {len(data)} bytes to {self.path}")
        ends = self.size_bytes + np.cumsum([len(document) for document in documents], dtype=np.int64)
        self._ends.extend(ends)

    def copy(self, slots: Sequence[int], path: Path) -> None:
        """Write the documents of some slots to another file, one after another."""
        view = self.view()
        with path.open("wb") as file:
            file.writelines(view.read(slot) for slot in slots)

    def view(self) -> DocumentView:
        return DocumentView(self._file, self._ends.view())

    def store(self) -> AnyArray:
        """Return (n_slots + 1,) offsets: document i is the bytes from offset i to offset i + 1."""
        return self._ends.view()

    def sync(self) -> None:
        """Write the file to disk."""
        os.fsync(self._file.descriptor)


class DocumentView:
    """The reader's side: the documents of one snapshot."""

    def __init__(self, file: _OpenFile, ends: AnyArray) -> None:
        self._file = file
        self._ends = ends

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest document."""
        return int(np.diff(self._ends).max(initial=0))

    def read(self, slot: int) -> msgspec.Raw:
        """Return a document's JSON as it was received."""
        start, end = self._ends.item(slot), self._ends.item(slot + 1)
        return msgspec.Raw(os.pread(self._file.descriptor, end - start, start))


class _OpenFile:
    """A file descriptor that is closed with its last reader, so that no reader reads another file by its number."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        os.close(self.descriptor)
